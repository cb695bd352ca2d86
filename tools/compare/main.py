"""Times brume and the peers that are installed by turns, on the same weights, and checks that their latents agree.

On standard output a Markdown table (times of a UNet step and of a decode, ratios, GFLOP/s, memory, errors) and whether
brume's aims are met; a line for every run on standard error. Without MODEL a full-size model with random weights is
used, and made in build/models first where it is missing (sd15: 2 GB, sdxl: 7 GB).

Exit status: 0 measured, and latents agree, whether or not the aims are met; 1 some latents differ, or some contestant
failed (one that did not compile in time is only left out); 2 there is nothing to compare.

Settings such as TORCHINDUCTOR_FREEZING=1 are handed on to diffusers, and kept in the JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The package instead of its folder, where one of our names could hide a library's.
sys.path[0] = str(ROOT / "tools")
from compare import aims, contestants, host, latents, rounds, summary, table  # noqa: E402
from compare.contestants import Contestant, Programs, Task  # noqa: E402
from compare.rounds import Limits, say  # noqa: E402

FORMAT = "brume.compare_cpu/1"


class CompareError(Exception):
    """Something that keeps them from being compared."""


def parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
    return int(width), int(height)


def at_least_one(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/compare_cpu", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="a diffusers model directory")
    parser.add_argument("--arch", choices=("sd15", "sdxl"), help="which random model, when MODEL is not given (sd15)")
    parser.add_argument("--size", type=parse_size, action="append", metavar="WxH",
                        help="may be given more than once; the model's own when not given")
    parser.add_argument("--steps", type=at_least_one, default=2, help="in each process (2)")
    parser.add_argument("--rounds", type=at_least_one, default=3, help="processes of each contestant (3)")
    parser.add_argument("--contestants", metavar="A,B,...",
                        help=f"of {', '.join(contestants.KNOWN)}; when not given: {', '.join(contestants.DEFAULT)}, "
                             "and sd-cli where it is named")
    parser.add_argument("--sd-cli", type=Path, metavar="PATH", help="stable-diffusion.cpp's program")
    parser.add_argument("--threads", type=at_least_one, default=host.cores(), help="one a core when not given")
    parser.add_argument("--compile-timeout", type=float, default=900, metavar="S",
                        help="seconds after which a contestant that compiles is left out (900)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all that was measured to this file")
    parser.add_argument("--brume", type=Path, metavar="PATH", default=ROOT / "build/release/brume",
                        help="build/release/brume when not given")
    arguments = parser.parse_args()
    if arguments.model is not None and arguments.arch is not None:
        parser.error("--arch picks a random model; it cannot be given beside MODEL")
    try:
        arguments.contestants = contestants.chosen(arguments.contestants, arguments.sd_cli is not None)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def find_programs(arguments: argparse.Namespace) -> Programs:
    for path, option in ((arguments.brume, "--brume"), (arguments.sd_cli, "--sd-cli")):
        if path is not None and not path.is_file():
            raise CompareError(f"no program at {path}; build it or name it with {option} PATH")
    return Programs(arguments.brume.resolve(), arguments.sd_cli and arguments.sd_cli.resolve())


def find_model(given: Path | None, arch: str) -> Path:
    model = given if given is not None else ROOT / "build/models" / arch
    if given is None and not model.exists():
        say(f"making a random {arch} in {model}")
        partial = model.with_name(f"{arch}.partial")
        made = subprocess.run([sys.executable, str(ROOT / "tools/reference/make_random_model.py"), arch, str(partial)],
                              stdout=subprocess.DEVNULL, check=False)
        if made.returncode != 0:
            raise CompareError(f"no random {arch} was made (exit code {made.returncode})")
        partial.rename(model)
    if not (model / "model_index.json").is_file():
        raise CompareError(f"{model} is not a diffusers model directory (it has no model_index.json)")
    return model.resolve()


def checked_sizes(model: Path, given: list[tuple[int, int]] | None) -> list[tuple[int, int]]:
    """The sizes asked for, or the UNet's own."""
    unet, vae = (json.loads((model / part / "config.json").read_text(encoding="utf-8")) for part in ("unet", "vae"))
    factor = 2 ** (len(vae["block_out_channels"]) - 1)
    if not given:
        own = unet["sample_size"]
        height, width = own if isinstance(own, list) else (own, own)
        return [(width * factor, height * factor)]
    for width, height in given:
        if width % factor or height % factor:
            raise CompareError(f"{width}x{height}: both must be multiples of {factor}")
    return given


def judged(size: dict) -> dict:
    """A size with its verdicts: the JSON's reader need not compute them."""
    rows = summary.rows_of(size)
    return {**size, "rows": [_as_dict(row) for row in rows],
            "unsettled": [one for row in rows for one in summary.unsettled(row)],
            "verdicts": [vars(verdict) for verdict in aims.verdicts(rows)]}


def _as_dict(row: summary.Row) -> dict:
    return {key: vars(value) if isinstance(value, summary.Times) else value for key, value in vars(row).items()}


def write_json(path: Path | None, result: dict) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {**result, "sizes": [judged(size) for size in result["sizes"]]}
        path.write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def all_well(result: dict) -> bool:
    return not any(entry["failed"] for size in result["sizes"] for entry in size["contestants"]) \
        and all(verdict["agrees"] for size in result["sizes"] for verdict in size["agreement"])


def compare(arguments: argparse.Namespace) -> int:
    programs = find_programs(arguments)
    model = find_model(arguments.model, arguments.arch or "sd15")
    sizes = checked_sizes(model, arguments.size)
    chosen: list[Contestant] = arguments.contestants
    result = {"format": FORMAT, "command": sys.argv[1:], "began": datetime.now(timezone.utc).isoformat(),
              "machine": host.machine(), "versions": host.versions(programs.brume, programs.sd_cli),
              "settings": host.settings(), "model": str(model), "model_name": model.name, "steps": arguments.steps,
              "rounds": arguments.rounds, "threads": arguments.threads, "sizes": []}
    for width, height in sizes:
        task = Task(model, width, height, arguments.steps, arguments.threads)
        size = rounds.measure(chosen, task, programs, Limits(arguments.rounds, arguments.compile_timeout))
        size["agreement"] = latents.check(chosen, task, programs)
        result["sizes"].append(size)
        write_json(arguments.json, result)  # now, so that what is measured outlives what comes
    print(table.markdown(result), end="")
    return 0 if all_well(result) else 1


def main() -> int:
    arguments = parse_arguments()
    try:
        return compare(arguments)
    except (CompareError, OSError) as error:
        print(f"compare_cpu: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("compare_cpu: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
