"""Times diffusers on a GPU, with random weights of an architecture: denoising as its pipelines do it, and decoding.

The loop holds what StableDiffusionPipeline and its XL sister do in a step: the UNet on two rows a picture, guidance,
and EulerDiscreteScheduler's step; words are random numbers. Maps are channels last and cuDNN tries its algorithms
first, as whoever wants speed sets them. The autoencoder decodes in --dtype (the XL pipeline would go to fp32 for the
published weights). One JSON object on standard output.

The mode compile is torch.compile of the UNet and of the VAE's decoder, each as one graph; the first calls, which
compile, are compile_seconds and are not counted elsewhere. With --wait-for FILE it compiles at once, says with
FILE.ready that it has, and measures when somebody makes FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

for _name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_PROGRESS_BARS"):
    os.environ.setdefault(_name, "1")
if __name__ == "__main__":
    # The package instead of its folder, where one of our names could hide a library's.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import diffusers  # noqa: E402
import torch  # noqa: E402
from compare.random_networks import ARCHITECTURES, build, config_of  # noqa: E402
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel  # noqa: E402

FORMAT = "brume.gpu_peer/1"
WORDS = 77
GUIDANCE = 7.5
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
COMPILE_MODES = ("max-autotune", "reduce-overhead", "default")
# A compiled call runs, is recorded as a CUDA graph, and is replayed from the third time on.
WARM_UPS = 3
BATCH = 8
BATCH_STEPS = 20
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1,
            "timestep_spacing": "leading"}


class Place:
    """The device. A CPU will do for tests of this script."""

    def __init__(self, name: str) -> None:
        self.device = torch.device(name)
        self.is_gpu = self.device.type == "cuda"

    def title(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.is_gpu else "CPU"

    def wait(self) -> None:
        if self.is_gpu:
            torch.cuda.synchronize(self.device)

    def forget_peak(self) -> None:
        if self.is_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_bytes(self) -> int:
        if self.is_gpu:
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True)
class Watch:
    """Takes times up to the end of the device's work."""

    place: Place
    runs: int
    seconds: float  # of a measurement; one run it always has

    def once(self, call: Callable[[], object]) -> float:
        self.place.wait()
        start = time.perf_counter()
        call()
        self.place.wait()
        return time.perf_counter() - start

    def often(self, prepare: Callable[[], Callable[[], object]], most: int | None = None) -> list[float]:
        """Seconds of each run of what `prepare` gives."""
        end = time.perf_counter() + self.seconds
        taken = [self.once(prepare())]
        while len(taken) < (most or self.runs) and time.perf_counter() < end:
            taken.append(self.once(prepare()))
        return taken


class Peer:
    """diffusers' networks, and what its pipelines do with them."""

    def __init__(self, arguments: argparse.Namespace, place: Place) -> None:
        self.place, self.dtype = place, DTYPES[arguments.dtype]
        self.unet = build(UNet2DConditionModel, config_of(arguments.arch, "unet"), place.device, self.dtype)
        self.vae = build(AutoencoderKL, config_of(arguments.arch, "vae"), place.device, self.dtype)
        self.config = self.unet.config
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.width, self.height = arguments.size or (self.config.sample_size * factor,) * 2
        if self.width % factor or self.height % factor:
            raise ValueError(f"{self.width}x{self.height}: both must be multiples of {factor}")
        self.shape = (self.config.in_channels, self.height // factor, self.width // factor)
        self.scheduler = EulerDiscreteScheduler(**SCHEDULE)
        self.compiled = arguments.mode == "compile"
        if self.compiled:
            how = {"mode": arguments.compile_mode, "fullgraph": True, "dynamic": False}
            self.unet = torch.compile(self.unet, **how)
            self.vae.decoder = torch.compile(self.vae.decoder, **how)

    def random(self, *sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, device=self.place.device, dtype=self.dtype)

    def conditions(self, batch: int) -> dict:
        """What the text encoders would give, of a prompt and a negative one."""
        rows = 2 * batch
        words = {"encoder_hidden_states": self.random(rows, WORDS, self.config.cross_attention_dim)}
        if self.config.addition_embed_type == "text_time":
            pooled = self.config.projection_class_embeddings_input_dim - 6 * self.config.addition_time_embed_dim
            size = [self.height, self.width]
            times = torch.tensor([[*size, 0, 0, *size]] * rows, device=self.place.device, dtype=self.dtype)
            words["added_cond_kwargs"] = {"text_embeds": self.random(rows, pooled), "time_ids": times}
        return words

    def loop(self, batch: int, steps: int) -> Callable[[], torch.Tensor]:
        """A denoising loop, ready to go; it gives the last latents."""
        self.scheduler.set_timesteps(steps, device=self.place.device)
        noise = self.random(batch, *self.shape) * self.scheduler.init_noise_sigma
        words = self.conditions(batch)

        def run() -> torch.Tensor:
            latents = noise
            for timestep in self.scheduler.timesteps:
                rows = self.scheduler.scale_model_input(torch.cat([latents] * 2), timestep)
                both = self.unet(rows, timestep, **words, return_dict=False)[0]
                without, with_words = both.chunk(2)
                guided = without + GUIDANCE * (with_words - without)
                latents = self.scheduler.step(guided, timestep, latents, return_dict=False)[0]
            return latents

        return run

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]

    def pictures(self, batch: int, steps: int) -> Callable[[], list[torch.Tensor]]:
        """From words to bytes in the CPU's memory. Decoded one by one: of eight, large maps have 2^31 values."""
        run = self.loop(batch, steps)
        return lambda: [(self.decode(latents) * 127.5 + 127.5).clamp(0, 255).to(torch.uint8).cpu()
                        for latents in run().split(1)]


class Report:
    """What is known so far; the file is whole after every measurement, should a time limit end this process."""

    def __init__(self, path: Path | None, facts: dict) -> None:
        self.path, self.facts = path, facts

    def add(self, **facts: object) -> None:
        self.facts.update(facts)
        print("gpu_peer: " + ", ".join(f"{name} {value}" for name, value in facts.items() if name != "samples"),
              file=sys.stderr, flush=True)
        if self.path is not None:
            partial = self.path.with_name(self.path.name + ".partial")
            partial.write_text(json.dumps(self.facts) + "\n", encoding="utf-8")
            partial.replace(self.path)


def wait_for(signal: Path | None) -> None:
    if signal is None:
        return
    signal.with_name(signal.name + ".ready").touch()
    while not signal.exists():
        time.sleep(0.05)


def measure(peer: Peer, watch: Watch, report: Report, steps: int, batch: bool, signal: Path | None = None) -> None:
    samples: dict[str, list[float]] = {}
    latents = peer.random(1, *peer.shape)
    first = watch.once(peer.loop(1, 1)) + watch.once(lambda: peer.decode(latents))
    report.add(first_calls_seconds=first, compile_seconds=first if peer.compiled else None)
    latents = peer.loop(1, WARM_UPS)()
    for _ in range(WARM_UPS):
        finite = (torch.isfinite(latents).all() & torch.isfinite(peer.decode(latents)).all()).item()
    report.add(finite=finite)
    wait_for(signal)
    watch.place.forget_peak()

    samples["loop_ms"] = [1e3 * taken for taken in watch.often(lambda: peer.loop(1, steps))]
    loop = statistics.median(samples["loop_ms"])
    report.add(steps_per_second=1e3 * steps / loop, unet_step_ms=loop / steps, samples=samples)
    samples["decode_ms"] = [1e3 * taken for taken in watch.often(lambda: lambda: peer.decode(latents))]
    report.add(vae_decode_ms=statistics.median(samples["decode_ms"]), peak_memory_bytes=watch.place.peak_bytes(),
               samples=samples)
    if batch:
        first = watch.once(peer.pictures(BATCH, WARM_UPS))
        if peer.compiled:
            first += report.facts["compile_seconds"]
            peer.pictures(BATCH, WARM_UPS)()
            report.add(compile_seconds=first)
        watch.place.forget_peak()
        samples["batch8_ms"] = [1e3 * taken for taken in watch.often(lambda: peer.pictures(BATCH, BATCH_STEPS), 3)]
        report.add(pictures_per_second_batch8=1e3 * BATCH / statistics.median(samples["batch8_ms"]),
                   peak_memory_bytes_batch8=watch.place.peak_bytes(), samples=samples)


def size_of(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
    return int(width), int(height)


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu_peer", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=sorted(folder.parent.name for folder in ARCHITECTURES.glob("*/unet")),
                        default="sd15")
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--compile-mode", choices=COMPILE_MODES, default="max-autotune")
    parser.add_argument("--size", type=size_of, metavar="WxH", help="the model's own when not given")
    parser.add_argument("--steps", type=int, default=20, help="of a loop (20)")
    parser.add_argument("--runs", type=int, default=10, help="of a measurement (10); batches have 3")
    parser.add_argument("--seconds", type=float, default=10, help="after which a measurement has no more runs (10)")
    parser.add_argument("--batch8", action="store_true", help="also pictures a second, eight at a time, of 20 steps")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="fp16")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try this script")
    parser.add_argument("--wait-for", type=Path, metavar="FILE", help="measure when it is there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what is known, after every measurement")
    return parser.parse_args(words)


@torch.no_grad()
def run(arguments: argparse.Namespace) -> dict:
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    place = Place(arguments.device)
    start = time.perf_counter()
    peer = Peer(arguments, place)
    place.wait()
    report = Report(arguments.json, {
        "format": FORMAT, "gpu": place.title(), "torch": torch.__version__, "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(), "diffusers": diffusers.__version__, "mode": arguments.mode,
        "compile_mode": arguments.compile_mode if peer.compiled else None, "arch": arguments.arch,
        "size": f"{peer.width}x{peer.height}", "dtype": arguments.dtype, "steps": arguments.steps,
        "scheduler": type(peer.scheduler).__name__, "steps_per_second": None, "unet_step_ms": None,
        "vae_decode_ms": None, "pictures_per_second_batch8": None, "compile_seconds": None,
        "peak_memory_bytes": None, "peak_memory_bytes_batch8": None, "finite": None, "samples": {},
        "complete": False})
    report.add(build_seconds=time.perf_counter() - start)
    measure(peer, Watch(place, arguments.runs, arguments.seconds), report, arguments.steps, arguments.batch8,
            arguments.wait_for)
    report.add(complete=True)
    return report.facts


def main() -> None:
    arguments = parse_arguments()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu_peer: torch sees no GPU here")
    try:
        print(json.dumps(run(arguments)), flush=True)
    except ValueError as error:
        sys.exit(f"gpu_peer: {error}")


if __name__ == "__main__":
    main()
