"""A shape on trial: ours, the others, and what ours should have given."""

import ctypes
from typing import Callable, NamedTuple

from bench import bounds, entry


class Trial(NamedTuple):
    plan: str
    ours: Callable
    others: dict  # name: Callable
    results: Callable  # after ours: pairs of what it wrote and the same in float64


# What ours may differ from float64 by, as a share of the largest value.
TOLERANCE = {"fp16": 4e-3, "bf16": 3e-2}


def caller(bench, function, call, *more):
    """Calls an entry on the current stream. `more` are arguments between the call and the stream."""
    def ours():
        entry.check(function(ctypes.byref(call), *more, bench.stream()))
    return ours


def torch_dtype(torch, dtype):
    return {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]


def run(bench, shape, dtype, trial, peaks, launch):
    """A row of the result. Exits by an exception where ours is refused, wrong, or no number."""
    trial.ours()
    pairs = trial.results()
    error = max((ours.double() - exact).abs().max().item() for ours, exact in pairs)
    magnitude = max(exact.abs().max().item() for _, exact in pairs)
    if not error <= TOLERANCE[dtype] * magnitude:  # so that NaN is wrong
        raise RuntimeError(f"ours is wrong by {error} where values reach {magnitude}, with {trial.plan}")
    del pairs
    times, refused = bench.times(trial.ours, trial.others)
    work = bounds.work_of(shape)
    bound = bounds.least_time(work, peaks, launch)
    row = {**shape._asdict(), "label": shape.label(), "dtype": dtype, "plan": trial.plan, "largest_error": error,
           "magnitude": magnitude, "microseconds": times, "refused": refused,
           "gigabytes_a_second": {name: work.bytes / time / 1e3 for name, time in times.items()},
           "bound": bound._asdict(), "share_of_bound": bound.microseconds / times["ours"]}
    if work.flop:
        row["teraflops"] = {name: work.flop / time / 1e6 for name, time in times.items()}
    return row
