"""Runs diffusers and brume on one model directory, from the same latents, and prints the largest error per stage.

A stage agrees when its largest error is at most the tolerance, absolute or relative to the largest reference value
where that is above one. deviations: the largest error in standard deviations of the reference; norms: the norm of all
errors beside that of the reference. Exit status: 0 all stages agree, 1 some do not, 2 brume or the model is missing or failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from reference_stages import Request, Tensors, fingerprint, first_latents, native_size, reference_stages, vae_factor

ROOT = Path(__file__).resolve().parents[2]


class ParityError(Exception):
    """Something that keeps the two from being compared."""


@dataclass(frozen=True)
class Row:
    stage: str
    shape: list[int]
    error: float | None
    magnitude: float
    relative: float | None
    deviations: float | None  # the error in standard deviations of the reference
    norms: float | None  # the norm of all errors beside that of the reference
    verdict: str


def find_brume(given: Path | None) -> Path:
    candidates = [given] if given else sorted(ROOT.glob("build*/**/brume"))
    for path in candidates:
        if path.is_file():
            return path.resolve()
    where = f"at {given}" if given else "under build/; build it or name it with --brume PATH"
    raise ParityError(f"no brume {where}")


def parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
    return int(height), int(width)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/parity", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a diffusers model directory")
    parser.add_argument("--file", type=Path, metavar="FILE",
                        help="brume draws with this file instead: the same model in another form")
    parser.add_argument("--prompt", default="a red fox in the snow")
    parser.add_argument("--negative-prompt", help="none when not given")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--size", type=parse_size, metavar="WxH", help="the model's own when not given")
    parser.add_argument("--guidance", type=float, default=5.0, help="1 turns guidance off")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--brume", type=Path, metavar="PATH")
    parser.add_argument("--brume-arguments", default="", help="more words for brume generate, split at spaces")
    parser.add_argument("--device", default="cpu", help="brume's device")
    parser.add_argument("--dtype", default="fp32", help="brume's dtype")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, help="of diffusers; all cores when not given")
    parser.add_argument("--reference-cache", type=Path, metavar="FILE",
                        help="keep diffusers' part in this file and use it again for the same model and request")
    parser.add_argument("--reference-only", action="store_true", help="only fill the cache")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args()
    if arguments.reference_only and arguments.reference_cache is None:
        parser.error("--reference-only needs --reference-cache FILE")
    if arguments.steps < 1:
        parser.error("--steps must be at least 1")
    return arguments


def make_request(arguments: argparse.Namespace) -> Request:
    if not (arguments.model / "model_index.json").is_file():
        raise ParityError(f"{arguments.model} is not a diffusers model directory (it has no model_index.json)")
    height, width = arguments.size or native_size(arguments.model)
    factor = vae_factor(arguments.model)
    if height % factor or width % factor or not height or not width:
        raise ParityError(f"{width}x{height}: both must be multiples of {factor}")
    return Request(arguments.prompt, arguments.negative_prompt, arguments.steps, arguments.guidance, arguments.seed,
                   height, width)


def cached_stages(model: Path, request: Request, cache: Path | None) -> Tensors:
    key = fingerprint(model, request)
    if cache is not None and cache.is_file():
        with safe_open(str(cache), framework="pt") as file:
            if file.metadata() == key:
                return load_file(str(cache))
        print("parity: the cache is of another model or request; running diffusers again", file=sys.stderr)
    stages = reference_stages(model, request)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in stages.items()}, str(cache), metadata=key)
    return stages


def run_brume(brume: Path, arguments: argparse.Namespace, request: Request) -> Tensors:
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        latents, stages = Path(folder) / "latents.safetensors", Path(folder) / "stages.safetensors"
        save_file({"latents": first_latents(arguments.model, request)}, str(latents))
        command = [str(brume), "generate", "--model", str(arguments.file or arguments.model), "--prompt", request.prompt,
                   "--width", str(request.width), "--height", str(request.height), "--steps", str(request.steps),
                   "--cfg-scale", str(request.guidance), "--seed", str(request.seed), "--sampling-method", "ddim",
                   "--eta", "0", "--device", arguments.device, "--dtype", arguments.dtype,
                   "--init-latents", str(latents), "--dump-stages", str(stages),
                   "--output", str(Path(folder) / "picture.png")]
        if request.negative_prompt is not None:
            command += ["--negative-prompt", request.negative_prompt]
        result = subprocess.run(command + arguments.brume_arguments.split(), stdout=subprocess.DEVNULL, check=False)
        if result.returncode != 0:
            raise ParityError(f"brume ended with status {result.returncode}")
        if not stages.is_file():
            raise ParityError("brume wrote no stages (--dump-stages)")
        return load_file(str(stages))


def compare(stage: str, reference: torch.Tensor, ours: torch.Tensor | None, tolerance: float) -> Row:
    shape, magnitude = list(reference.shape), reference.double().abs().max().item()
    if ours is None:
        return Row(stage, shape, None, magnitude, None, None, None, "missing")
    if ours.shape != reference.shape:
        return Row(stage, shape, None, magnitude, None, None, None, f"shape {list(ours.shape)}")
    if not torch.isfinite(ours.double()).all():
        return Row(stage, shape, None, magnitude, None, None, None, "not finite")
    errors = ours.double() - reference.double()
    error, norm = errors.abs().max().item(), reference.double().norm().item()
    relative = error / max(magnitude, 1.0)
    exact = not reference.is_floating_point()
    agrees = error == 0 if exact else relative <= tolerance
    deviation = reference.double().std().item()
    return Row(stage, shape, error, magnitude, relative, error / deviation if deviation > 0 else None,
               errors.norm().item() / norm if norm > 0 else None, "ok" if agrees else "DIFFERS")


def stage_order(request: Request, stages: Tensors) -> list[str]:
    steps = [f"latents_step{step}" for step in range(request.steps)]
    order = ["ids", "ids_2", "context", "pooled", "unet_out_step0", *steps, "decoded"]
    return [name for name in order if name in stages]


def print_table(rows: list[Row], tolerance: float) -> None:
    print(f"{'stage':<16} {'shape':<20} {'largest error':>13} {'magnitude':>10} {'relative':>10} {'deviations':>10} {'norms':>10}  "
          f"at {tolerance:g}")
    for row in rows:
        error, relative, deviations, norms = (f"{value:.2e}" if value is not None else "-"
                                              for value in (row.error, row.relative, row.deviations, row.norms))
        shape = "x".join(str(size) for size in row.shape)
        print(f"{row.stage:<16} {shape:<20} {error:>13} {row.magnitude:>10.3g} {relative:>10} {deviations:>10} {norms:>10}  "
              f"{row.verdict}")


def report(arguments: argparse.Namespace, request: Request, rows: list[Row]) -> bool:
    agree = all(row.verdict == "ok" for row in rows)
    if arguments.json:
        print(json.dumps({"model": str(arguments.file or arguments.model), **asdict(request), "device": arguments.device,
                          "dtype": arguments.dtype, "tolerance": arguments.tolerance, "agree": agree,
                          "stages": [asdict(row) for row in rows]}))
    else:
        print(f"{arguments.file or arguments.model}: {request.width}x{request.height}, {request.steps} DDIM steps, guidance "
              f"{request.guidance:g}, seed {request.seed}; brume {arguments.device} {arguments.dtype}")
        print_table(rows, arguments.tolerance)
    return agree


def run(arguments: argparse.Namespace) -> int:
    request = make_request(arguments)
    brume = None if arguments.reference_only else find_brume(arguments.brume)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    reference = cached_stages(arguments.model, request, arguments.reference_cache)
    if brume is None:
        return 0
    ours = run_brume(brume, arguments, request)
    rows = [compare(name, reference[name], ours.get(name), arguments.tolerance)
            for name in stage_order(request, reference)]
    return 0 if report(arguments, request, rows) else 1


def main() -> int:
    arguments = parse_arguments()
    try:
        return run(arguments)
    except (ParityError, OSError, ValueError) as error:
        print(f"parity: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
