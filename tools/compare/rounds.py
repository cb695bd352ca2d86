"""The order of the runs: A B C A B C, so that a machine which slows down or is shared meets all alike.

Everything is kept as it was measured; compare/summary.py makes medians of it.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compare import contestants, processes
from compare.contestants import Contestant, Programs, Task


@dataclass(frozen=True)
class Limits:
    rounds: int
    compile_seconds: float


Run = Callable[..., processes.Ended]


def say(line: str) -> None:
    print(f"compare_cpu: {line}", file=sys.stderr, flush=True)


def new_entry(one: Contestant) -> dict:
    """What is known of a contestant: `problem` says why it left, `failed` whether that is an error."""
    return {"name": one.name, "engine": one.engine, "dtype": one.dtype, "problem": None, "failed": False,
            "compile_seconds": None, "runs": []}


def measure(chosen: list[Contestant], task: Task, programs: Programs, limits: Limits, run: Run = processes.run) -> dict:
    """One size: {width, height, contestants: [entry...]}."""
    entries = {one.name: new_entry(one) for one in chosen}
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        scratch = Path(folder)
        for one in chosen:
            if one.compiled:
                _compile(one, entries[one.name], task, programs, limits, scratch, run)
        for number in range(1, limits.rounds + 1):
            for one in chosen:
                entry = entries[one.name]
                if entry["problem"] is None:
                    _take(one, entry, task, programs, scratch, run)
                    say(f"{task.width}x{task.height}, round {number} of {limits.rounds}, {one.name}: {_line(entry)}")
    return {"width": task.width, "height": task.height, "contestants": list(entries.values())}


def _environment(one: Contestant, scratch: Path) -> dict[str, str]:
    """A compiler's cache of this run alone: a full one would hide what compiling costs."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(scratch / f"inductor-{one.name}")} if one.compiled else {}


def _compile(one: Contestant, entry: dict, task: Task, programs: Programs, limits: Limits, scratch: Path,
             run: Run) -> None:
    """In a process before the rounds, so that their peak of memory is not the compiler's."""
    command = contestants.compile_command(one, task, programs, scratch)
    ended = run(command, _environment(one, scratch), limits.compile_seconds)
    entry["compile_command"] = shlex.join(command)
    if ended.timed_out:
        entry["problem"] = f"did not compile in {limits.compile_seconds:g} s"
    elif ended.code != 0:
        entry |= {"problem": ended.problem(), "failed": True}
    else:
        entry["compile_seconds"] = contestants.last_object(ended.output)["compile_seconds"]
    say(f"{task.width}x{task.height}, {one.name}: "
        + (entry["problem"] or f"compiled in {entry['compile_seconds']:.0f} s"))


def _take(one: Contestant, entry: dict, task: Task, programs: Programs, scratch: Path, run: Run) -> None:
    command = contestants.command(one, task, programs, scratch)
    load_before = os.getloadavg()[0]
    ended = run(command, _environment(one, scratch))
    try:
        if ended.code != 0:
            raise ValueError(ended.problem())
        # sd-cli logs to either.
        said = ended.output + ended.errors if one.engine == "sd-cli" else ended.output
        sample = contestants.read_sample(one, task, said)
    except ValueError as error:
        entry |= {"problem": str(error), "failed": True}
        entry["runs"].append({"command": shlex.join(command), "problem": str(error)})
        return
    entry["runs"].append({"command": shlex.join(command), "steps_ms": sample.steps_ms, "decode_ms": sample.decode_ms,
                          "load_ms": sample.load_ms, "step_gflop": sample.step_gflop,
                          "decode_gflop": sample.decode_gflop, "peak_bytes": ended.peak_bytes,
                          "wall_seconds": ended.seconds, "load_average_before": load_before,
                          "details": sample.details})


def _line(entry: dict) -> str:
    if entry["problem"] is not None:
        return entry["problem"]
    last = entry["runs"][-1]
    steps = ", ".join(f"{step:.0f}" for step in last["steps_ms"])
    decode = "not said" if last["decode_ms"] is None else f"{last['decode_ms']:.0f} ms"
    return f"steps {steps} ms, decode {decode}, peak {last['peak_bytes'] / 2**30:.2f} GiB"
