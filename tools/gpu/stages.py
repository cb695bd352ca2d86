"""What is run on a GPU, in which order, and how long each part may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from compare.processes import Ended
from gpu import readings
from gpu.programs import Programs
from gpu.readings import Reading

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("tests", "sanitizer", "kernels", "bench", "peer")
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
SANITIZED = ("small_kernels", "group_norm_kernel", "attention_kernel")
FOUND = 86  # compute-sanitizer's exit status where it has something to complain of
BUILD = "build it: cmake --preset release && cmake --build --preset release"
KERNEL_ROUNDS = 15
ENGINE_SECONDS = 110  # 41 of an H100 alone, more than 60 beside two models that are being compiled
STEPS = 20


@dataclass(frozen=True)
class Command:
    name: str
    words: list[str]
    seconds: float
    read: Callable[[Ended], Reading]
    result: Path | None = None  # the file that it leaves
    least: float = 5  # seconds with which it is worth to begin
    signal: Path | None = None  # it may begin long before its turn, with --wait-for and this file


def ready_file(signal: Path) -> Path:
    """Which says that a command waits for its signal."""
    return signal.with_name(signal.name + ".ready")


@dataclass(frozen=True)
class Stage:
    name: str
    seconds: float
    commands: list[Command]
    missing: str | None = None  # why it cannot be run, which is a failure
    absent: str | None = None  # why there is nothing to run, which is none
    timed: bool = False  # nothing else may run beside it


@dataclass(frozen=True)
class Settings:
    outdir: Path
    scratch: Path
    compile_mode: str
    has_diffusers: bool
    sanitized: tuple[str, ...] = SANITIZED
    compile_beside: bool = False  # diffusers, beside the stages that are not timed


def _tests(programs: Programs, _settings: Settings) -> Stage:
    commands = [Command(name, [str(path)], ENGINE_SECONDS if name == "engine" else 60, readings.tests)
                for name, path in programs.tests.items()]
    return Stage("tests", 230, commands, None if commands else f"no *_gpu_test; {BUILD}")


def _sanitizer(programs: Programs, settings: Settings) -> Stage:
    if programs.sanitizer is None:
        return Stage("sanitizer", 0, [], "compute-sanitizer is not there")
    lacking = [name for name in settings.sanitized if name not in programs.tests]
    if lacking:
        return Stage("sanitizer", 0, [], f"no {', '.join(f'{name}_gpu_test' for name in lacking)}")
    commands = [Command(f"{tool} {name}", [programs.sanitizer, "--tool", tool, "--error-exitcode", str(FOUND),
                                           str(programs.tests[name])], 60, readings.sanitizer)
                for tool in TOOLS for name in settings.sanitized]
    return Stage("sanitizer", 150, commands)


def _kernels(programs: Programs, settings: Settings) -> Stage:
    if programs.kernels is None:
        return Stage("kernels", 0, [], f"no libbrume_kernels.so; {BUILD}")
    result = settings.outdir / "kernels/kernels.json"
    words = [programs.python, str(ROOT / "tools/kernel_bench"), str(result.parent), "--library", str(programs.kernels),
             "--rounds", str(KERNEL_ROUNDS)]
    return Stage("kernels", 100, [Command("kernel_bench", words, 100, lambda _: readings.kernels(result), result)],
                 timed=True)


def _bench(programs: Programs, _settings: Settings) -> Stage:
    if programs.brume is None:
        return Stage("bench", 0, [], f"no brume; {BUILD}")

    def command(name: str, arch: str, side: int, batch: int, limits: tuple[float, float]) -> Command:
        measured, whole = limits
        words = [str(programs.brume), "bench", "--device", "cuda", "--arch", arch, "-W", str(side), "-H", str(side),
                 "--steps", str(STEPS), "--batch-size", str(batch), "--dtype", "fp16", "--max-time", f"{measured:g}",
                 "--json"]
        return Command(name, words, whole, readings.bench)

    return Stage("bench", 180, [command("sd15", "sd15", 512, 1, (5, 60)), command("sdxl", "sdxl", 1024, 1, (8, 90)),
                                command("sdxl batch 8", "sdxl", 1024, 8, (10, 100))], timed=True)


def _peer(programs: Programs, settings: Settings) -> Stage:
    if not settings.has_diffusers:
        return Stage("peer", 0, [], absent="this Python has no torch or no diffusers")

    def command(mode: str, arch: str, side: int, limits: tuple[float, float], *more: str) -> Command:
        least, most = limits
        path = settings.scratch / f"{mode}-{arch}.json"
        signal = path.with_suffix(".begin") if mode == "compile" and settings.compile_beside else None
        words = [programs.python, str(ROOT / "tools/compare/gpu_peer.py"), "--arch", arch, "--mode", mode, "--size",
                 f"{side}x{side}", "--steps", str(STEPS), "--json", str(path), *more]
        return Command(f"{mode} {arch}", words, most, lambda _: readings.peer(path), path, least, signal)

    how = ("--seconds", "5", "--compile-mode", settings.compile_mode)
    return Stage("peer", 420, [command("eager", "sd15", 512, (15, 60), "--seconds", "5"),
                               command("eager", "sdxl", 1024, (25, 110), "--seconds", "8", "--batch8"),
                               command("compile", "sd15", 512, (40, 180), *how),
                               command("compile", "sdxl", 1024, (60, 300), *how)], timed=True)


_MAKERS = dict(zip(NAMES, (_tests, _sanitizer, _kernels, _bench, _peer)))


def without(names: list[str], made: list[Stage]) -> list[Stage]:
    """The stages without the commands of these names."""
    return [replace(stage, commands=[one for one in stage.commands if one.name not in names]) for stage in made]


def chosen(names: list[str] | None, programs: Programs, settings: Settings) -> list[Stage]:
    """In our order, whatever that of `names`; all without. What is named has to be there."""
    if names is None:
        return [make(programs, settings) for make in _MAKERS.values()]
    made = [make(programs, settings) for name, make in _MAKERS.items() if name in names]
    return [replace(stage, missing=stage.missing or stage.absent, absent=None) for stage in made]
