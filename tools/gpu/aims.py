"""What the project asks of brume on one H100 in fp16, and its figures beside diffusers'.

Guidance with both rows of the UNet: 150 steps a second of SD1.5 at 512x512 and 30 of SDXL at 1024x1024, one picture at
a time; a decode at 1024x1024 in 30 ms; 1.6 pictures a second of SDXL at 1024x1024 in 20 steps, eight at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("eager", "compile")


@dataclass(frozen=True)
class Figure:
    what: str
    unit: str
    bench: str  # the command that measures brume's
    bench_key: str
    arch: str  # of the commands that measure diffusers'
    peer_key: str
    aim: float | None
    less_is_better: bool = False


FIGURES = (
    Figure("SD1.5, 512x512, one picture", "steps/s", "sd15", "steps_per_second", "sd15", "steps_per_second", 150),
    Figure("SDXL, 1024x1024, one picture", "steps/s", "sdxl", "steps_per_second", "sdxl", "steps_per_second", 30),
    Figure("decode, 512x512", "ms", "sd15", "vae_decode_ms", "sd15", "vae_decode_ms", None, True),
    Figure("decode, 1024x1024", "ms", "sdxl", "vae_decode_ms", "sdxl", "vae_decode_ms", 30, True),
    Figure("SDXL, 1024x1024, 20 steps, eight pictures", "pictures/s", "sdxl batch 8", "pictures_per_second", "sdxl",
           "pictures_per_second_batch8", 1.6),
)


def _value(entries: list[dict], stage: str, command: str, key: str) -> float | None:
    """A command that ran out of time may have measured it all the same."""
    for entry in entries:
        for one in entry["commands"]:
            if entry["name"] == stage and one["name"] == command and one["results"] is not None:
                return one["results"].get(key)
    return None


def _ratio(figure: Figure, ours: float | None, theirs: float | None) -> float | None:
    """How many times as fast ours is."""
    if ours is None or theirs is None:
        return None
    return theirs / ours if figure.less_is_better else ours / theirs


def _met(figure: Figure, ours: float | None) -> bool | None:
    if ours is None or figure.aim is None:
        return None
    return ours <= figure.aim if figure.less_is_better else ours >= figure.aim


def rows(entries: list[dict]) -> list[dict]:
    result = []
    for figure in FIGURES:
        ours = _value(entries, "bench", figure.bench, figure.bench_key)
        theirs = {mode: _value(entries, "peer", f"{mode} {figure.arch}", figure.peer_key) for mode in MODES}
        result.append({"what": figure.what, "unit": figure.unit, "less_is_better": figure.less_is_better,
                       "aim": figure.aim, "brume": ours, "met": _met(figure, ours), "diffusers": theirs,
                       "times_as_fast": {mode: _ratio(figure, ours, value) for mode, value in theirs.items()}})
    return result
