"""That all do the same work: the latents after the same steps from the same noise, beside those of diffusers in fp32.

An error is the largest of any value, in standard deviations of the reference's latents. The process that calls this
stays small (compare/processes.py says why), so the files are read here without torch.
"""

from __future__ import annotations

import array
import json
import math
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

from compare import processes
from compare.contestants import GUIDANCE, HERE, PROMPT, SEED, Contestant, Programs, Task
from compare.rounds import Run, say

LIMIT = {"fp32": 1e-3, "bf16": 0.1}


def read_latents(path: Path) -> list[float]:
    """The fp32 tensor `latents` of a safetensors file."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:end])["latents"]
    if entry["dtype"] != "F32":
        raise ValueError(f"{path.name}: latents are {entry['dtype']}, not F32")
    values = array.array("f", data[end + entry["data_offsets"][0]:end + entry["data_offsets"][1]])
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def largest_error(reference: list[float], other: list[float]) -> float:
    """In standard deviations of the reference; infinite where a value is not finite."""
    if len(reference) != len(other):
        raise ValueError(f"{len(other)} values, not {len(reference)}")
    if not all(map(math.isfinite, other)):
        return math.inf
    return max(abs(a - b) for a, b in zip(reference, other)) / statistics.pstdev(reference)


def judge(name: str, dtype: str, error: float | None, problem: str | None = None) -> dict:
    finite = error is not None and math.isfinite(error)
    if problem is None and not finite:
        problem = "not finite"
    return {"name": name, "error": error if finite else None, "limit": LIMIT[dtype],
            "agrees": finite and error <= LIMIT[dtype], "problem": problem}


def _reference_command(task: Task, programs: Programs, dtype: str, first: Path, last: Path) -> list[str]:
    return [str(programs.python), str(HERE / "diffusers_latents.py"), str(task.model), "--width", str(task.width),
            "--height", str(task.height), "--steps", str(task.steps), "--dtype", dtype,
            "--threads", str(task.threads), "--prompt", PROMPT, "--guidance", f"{GUIDANCE:g}", "--seed", str(SEED),
            "--first", str(first), "--last", str(last)]


def _brume_command(task: Task, programs: Programs, dtype: str, first: Path, last: Path) -> list[str]:
    return [str(programs.brume), "generate", "-m", str(task.model), "-p", PROMPT, "-W", str(task.width),
            "-H", str(task.height), "--steps", str(task.steps), "--cfg-scale", f"{GUIDANCE:g}", "-s", str(SEED),
            "--sampling-method", "ddim", "--eta", "0", "--dtype", dtype, "-t", str(task.threads),
            "--init-latents", str(first), "--save-latents", str(last), "-o", str(last.with_suffix(".png"))]


def check(chosen: list[Contestant], task: Task, programs: Programs, run: Run = processes.run) -> list[dict]:
    """A judgement of brume's contestants and of diffusers in bf16, which says what that dtype costs by itself.

    Its other variants run the same layers and are not asked; sd-cli neither takes latents nor gives them.
    """
    asked = [one for one in chosen if one.engine == "brume" or one.name == "diffusers-bf16"]
    if not asked:
        return []
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        first, last = Path(folder) / "first.safetensors", Path(folder) / "reference.safetensors"
        say(f"{task.width}x{task.height}, latents of diffusers-fp32, the reference")
        command = _reference_command(task, programs, "fp32", first, last)
        ended = run(command)
        if ended.code != 0:
            problem = f"no reference: {ended.problem()}"
            return [{**judge(one.name, one.dtype, None, problem), "command": shlex.join(command)} for one in asked]
        reference = read_latents(last)
        return [_judged(one, task, programs, first, reference, run) for one in asked]


def _judged(one: Contestant, task: Task, programs: Programs, first: Path, reference: list[float], run: Run) -> dict:
    last = first.with_name(f"{one.name}.safetensors")
    make = _brume_command if one.engine == "brume" else _reference_command
    # diffusers draws the same first latents again, into a file that nobody reads.
    start = first if one.engine == "brume" else first.with_name("again.safetensors")
    command = make(task, programs, one.dtype, start, last)
    ended = run(command)
    try:
        if ended.code != 0:
            raise ValueError(ended.problem())
        verdict = judge(one.name, one.dtype, largest_error(reference, read_latents(last)))
    except (OSError, KeyError, ValueError) as error:
        verdict = judge(one.name, one.dtype, None, str(error))
    say(f"{task.width}x{task.height}, latents of {one.name}: {error_text(verdict)}")
    return {**verdict, "command": shlex.join(command)}


def error_text(verdict: dict) -> str:
    if verdict["problem"] is not None:
        return verdict["problem"]
    return f"{verdict['error']:.1e}" + ("" if verdict["agrees"] else f", above {verdict['limit']:g}")
