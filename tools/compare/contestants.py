"""Who is compared: each one's name, its command line, and what its output says.

A contestant is a process: it loads the model, warms up as `brume bench` does (two steps and a decode), takes the time
of a few steps and of one decode, and ends. A step is one call of the UNet with two rows, as guidance needs it; brume's
also holds guidance and the sampler's arithmetic, sd-cli's too, diffusers' does not. sd-cli alone cannot warm up.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROMPT = "a red fox in the snow"
GUIDANCE = 5.0
SEED = 0


@dataclass(frozen=True)
class Contestant:
    name: str
    engine: str  # brume, diffusers or sd-cli
    dtype: str
    compiled: bool = False
    channels_last: bool = False


KNOWN = {one.name: one for one in (
    Contestant("brume-fp32", "brume", "fp32"),
    Contestant("brume-bf16", "brume", "bf16"),
    Contestant("diffusers-fp32", "diffusers", "fp32"),
    Contestant("diffusers-bf16", "diffusers", "bf16"),
    Contestant("diffusers-compiled", "diffusers", "bf16", compiled=True),
    Contestant("diffusers-fp32-nhwc", "diffusers", "fp32", channels_last=True),
    Contestant("diffusers-bf16-nhwc", "diffusers", "bf16", channels_last=True),
    Contestant("diffusers-compiled-fp32", "diffusers", "fp32", compiled=True),
    # Its weights stay as the file has them, and it says neither what it computes in nor its latents.
    Contestant("sd-cli", "sd-cli", "file"),
)}
DEFAULT = ("brume-fp32", "brume-bf16", "diffusers-fp32", "diffusers-bf16", "diffusers-compiled")


@dataclass(frozen=True)
class Programs:
    brume: Path
    sd_cli: Path | None = None
    python: Path = Path(sys.executable)


@dataclass(frozen=True)
class Task:
    """The work that all do alike."""

    model: Path
    width: int
    height: int
    steps: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """One process's figures; what it does not say is None."""

    steps_ms: list[float]
    decode_ms: float | None
    load_ms: float | None = None
    step_gflop: float | None = None
    decode_gflop: float | None = None
    details: dict | None = None


def chosen(names: str | None, has_sd_cli: bool) -> list[Contestant]:
    """`names` with commas, in their order; ValueError says what is wrong with them."""
    wanted = names.split(",") if names is not None else [*DEFAULT, *(["sd-cli"] if has_sd_cli else [])]
    for name in wanted:
        if name not in KNOWN:
            raise ValueError(f"no contestant is called {name!r}; there are {', '.join(KNOWN)}")
        if wanted.count(name) > 1:
            raise ValueError(f"{name} is named twice")
    if "sd-cli" in wanted and not has_sd_cli:
        raise ValueError("sd-cli needs --sd-cli PATH")
    return [KNOWN[name] for name in wanted]


def command(one: Contestant, task: Task, programs: Programs, scratch: Path) -> list[str]:
    return {"brume": _brume, "diffusers": _diffusers, "sd-cli": _sd_cli}[one.engine](one, task, programs, scratch)


def _brume(one: Contestant, task: Task, programs: Programs, _scratch: Path) -> list[str]:
    return [str(programs.brume), "bench", "-m", str(task.model), "-W", str(task.width), "-H", str(task.height),
            "--steps", str(task.steps), "--warm-up", "1", "--max-rounds", "1", "--cfg-scale", f"{GUIDANCE:g}",
            "--sampling-method", "ddim", "--dtype", one.dtype, "-t", str(task.threads), "--json"]


def _diffusers(one: Contestant, task: Task, programs: Programs, _scratch: Path) -> list[str]:
    flags = (["--compile"] if one.compiled else []) + (["--channels-last"] if one.channels_last else [])
    return [str(programs.python), str(HERE / "diffusers_peer.py"), str(task.model), "--width", str(task.width),
            "--height", str(task.height), "--steps", str(task.steps), "--dtype", one.dtype,
            "--threads", str(task.threads), *flags]


def compile_command(one: Contestant, task: Task, programs: Programs, scratch: Path) -> list[str]:
    """Fills the compiler's cache, so that the rounds find it full."""
    return [*command(one, task, programs, scratch), "--only-compile"]


def _sd_cli(_one: Contestant, task: Task, programs: Programs, scratch: Path) -> list[str]:
    # euler: one call of the UNet a step, as ddim's.
    return [str(programs.sd_cli), "-m", str(task.model), "-p", PROMPT, "-W", str(task.width), "-H", str(task.height),
            "--steps", str(task.steps), "--cfg-scale", f"{GUIDANCE:g}", "--sampling-method", "euler", "-s", str(SEED),
            "-t", str(task.threads), "-o", str(scratch / "sd-cli.png")]


def read_sample(one: Contestant, task: Task, output: str) -> Sample:
    """ValueError where the output is not what it should be."""
    try:
        return {"brume": _read_brume, "diffusers": _read_diffusers, "sd-cli": _read_sd_cli}[one.engine](task, output)
    except (KeyError, TypeError, IndexError, json.JSONDecodeError) as error:
        raise ValueError(f"its output is not understood: {error!r}") from error


def _read_brume(_task: Task, output: str) -> Sample:
    said = json.loads(output)
    parts = said["components"]
    return Sample(said["samples"]["unet_step_ms"], parts["vae_decode"]["median_ms"], said["load_ms"],
                  parts["unet_step"]["gflop"], parts["vae_decode"]["gflop"], said)


def last_object(output: str) -> dict:
    """Libraries may print before it."""
    return json.loads(output.strip().splitlines()[-1])


def _read_diffusers(_task: Task, output: str) -> Sample:
    said = last_object(output)
    return Sample(said["steps_ms"], said["decode_ms"], said["load_ms"], details=said)


def _read_sd_cli(task: Task, output: str) -> Sample:
    """Its log knows the time of all steps together: one figure, their mean, with the first step's warming up in it."""

    def seconds(stage: str) -> float | None:
        found = re.findall(rf"\b{stage} completed, taking ([\d.]+) ?(ms|s)\b", output)
        return float(found[-1][0]) / (1000 if found[-1][1] == "ms" else 1) if found else None

    sampling, decode = seconds("sampling"), seconds("decode_first_stage")
    if sampling is None:
        raise ValueError("its log has no time of the sampling")
    return Sample([sampling * 1000 / task.steps], None if decode is None else decode * 1000)
