"""What the project asks of brume on a CPU beside diffusers, and whether a size's rows reach it.

bf16: a step in 0.70 of the time of the fastest diffusers (fp32, bf16 or compiled), a decode in 0.75. fp32: both in 0.80
of diffusers' fp32. The peak of memory no higher than that of the least of the same rivals; brume's holds its text
encoder, theirs does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from compare.summary import Row, fastest, rivals

MOST = {("bf16", "step"): 0.70, ("bf16", "decode"): 0.75, ("fp32", "step"): 0.80, ("fp32", "decode"): 0.80}


@dataclass(frozen=True)
class Verdict:
    what: str
    met: bool | None  # None: nothing to hold it against
    why: str


def _whose(row: Row, all_of_them: str) -> str:
    return "diffusers in fp32" if row.dtype == "fp32" else all_of_them


def _speed(row: Row, rows: list[Row], part: str) -> Verdict:
    aim = MOST[row.dtype, part]
    what = f"{row.name}: {part} in at most {aim:.2f} of {_whose(row, 'the fastest diffusers')}"
    ratio = getattr(row, f"{part}_ratio")
    if ratio is None:
        return Verdict(what, None, row.problem or "no rival's time in this run")
    return Verdict(what, ratio <= aim, f"{ratio:.2f} of {fastest(rivals(row, rows), part).name}")


def _memory(row: Row, rows: list[Row]) -> Verdict:
    what = f"{row.name}: peak memory at most that of {_whose(row, 'the least of diffusers')}"
    others = [other for other in rivals(row, rows) if other.peak_bytes is not None]
    if row.peak_bytes is None or not others:
        return Verdict(what, None, row.problem or "no rival's memory in this run")
    least = min(others, key=lambda other: other.peak_bytes)
    return Verdict(what, row.peak_bytes <= least.peak_bytes,
                   f"{row.peak_bytes / 2**30:.2f} GiB, {least.peak_bytes / 2**30:.2f} GiB of {least.name}")


def verdicts(rows: list[Row]) -> list[Verdict]:
    return [verdict for row in rows if row.engine == "brume"
            for verdict in (_speed(row, rows, "step"), _speed(row, rows, "decode"), _memory(row, rows))]
