"""From what was measured at a size to one row a contestant: medians over all rounds, and ratios.

A ratio is to the fastest diffusers that the aims name: of fp32 for fp32, of all for the rest. Whoever asks for bf16
could as well keep fp32 where that is faster.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

SETTLED = 1.25  # the longest time of the shortest, on a machine that does nothing else


@dataclass(frozen=True)
class Times:
    median: float
    least: float
    most: float

    @staticmethod
    def of(values: list[float]) -> Times | None:
        return Times(statistics.median(values), min(values), max(values)) if values else None


@dataclass(frozen=True)
class Row:
    name: str
    engine: str
    dtype: str
    problem: str | None
    step: Times | None
    decode: Times | None
    peak_bytes: int | None  # the most of any round
    step_ratio: float | None = None
    decode_ratio: float | None = None
    step_rate: float | None = None  # GFLOP/s
    decode_rate: float | None = None


def _plain_row(entry: dict) -> Row:
    runs = [run for run in entry["runs"] if "steps_ms" in run]
    return Row(entry["name"], entry["engine"], entry["dtype"], entry["problem"],
               Times.of([step for run in runs for step in run["steps_ms"]]),
               Times.of([run["decode_ms"] for run in runs if run["decode_ms"] is not None]),
               max((run["peak_bytes"] for run in runs), default=None))


def gflop(size: dict, part: str) -> float | None:
    """Of a step or a decode, as brume counted it: the work is the same for all."""
    counts = [run.get(f"{part}_gflop") for entry in size["contestants"] for run in entry["runs"]]
    return next((count for count in counts if count is not None), None)


def rivals(row: Row, rows: list[Row]) -> list[Row]:
    """The diffusers that ran to the end and that a row is held against."""
    return [other for other in rows if other.engine == "diffusers" and other.problem is None
            and (row.dtype != "fp32" or other.dtype == "fp32")]


def fastest(others: list[Row], part: str) -> Row | None:
    timed = [other for other in others if getattr(other, part) is not None]
    return min(timed, key=lambda other: getattr(other, part).median, default=None)


def _ratio(row: Row, rows: list[Row], part: str) -> float | None:
    own, best = getattr(row, part), fastest(rivals(row, rows), part)
    return None if own is None or best is None else own.median / getattr(best, part).median


def _rate(row: Row, size: dict, part: str) -> float | None:
    own, work = getattr(row, part), gflop(size, part)
    return None if own is None or work is None else work / own.median * 1000


def unsettled(row: Row) -> list[str]:
    """Which of a row's times vary so much that another program must have had the processor, too."""
    named = {"steps": row.step, "decodes": row.decode}
    return [f"{row.name}'s {what} vary {times.most / times.least:.1f}-fold" for what, times in named.items()
            if times is not None and times.most > SETTLED * times.least]


def rows_of(size: dict) -> list[Row]:
    plain = [_plain_row(entry) for entry in size["contestants"]]
    return [Row(row.name, row.engine, row.dtype, row.problem, row.step, row.decode, row.peak_bytes,
                _ratio(row, plain, "step"), _ratio(row, plain, "decode"),
                _rate(row, size, "step"), _rate(row, size, "decode")) for row in plain]
