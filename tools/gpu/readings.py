"""What a command's output says: a line for people, and the figures. ValueError where it is not what it should be."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from compare.processes import Ended


@dataclass(frozen=True)
class Reading:
    line: str
    facts: dict = field(default_factory=dict)
    well: bool = True  # false: it failed, whatever its exit status


def _objects(text: str, what: str) -> dict:
    try:
        said = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise ValueError(f"{what} is no JSON object")
    return said


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def tests(ended: Ended) -> Reading:
    """GoogleTest's summary."""
    passed = re.findall(r"^\[  PASSED  \] (\d+) tests?\.", ended.output, re.MULTILINE)
    if not passed:
        raise ValueError("no summary of GoogleTest")
    failed = sorted(set(re.findall(r"^\[  FAILED  \] (\S+\.[^\s,]+)", ended.output, re.MULTILINE)))
    why = re.search(r"^\[  SKIPPED \] (?!\d+ test|\S+\.\S+)(.+)", ended.output, re.MULTILINE)
    facts = {"passed": int(passed[-1]), "failed": failed, "skipped": why.group(1) if why else None}
    line = f"skipped: {why.group(1)}" if why else f"{facts['passed']} passed"
    return Reading(line + (f", {len(failed)} failed: {', '.join(failed[:3])}" if failed else ""), facts, not failed)


def sanitizer(ended: Ended) -> Reading:
    """compute-sanitizer's summary, and its first complaint."""
    said = ended.output + ended.errors
    hazards = re.findall(r"RACECHECK SUMMARY: \d+ hazards? displayed \((\d+) errors?, (\d+) warnings?\)", said)
    errors = re.findall(r"ERROR SUMMARY: (\d+) errors?", said)
    if not hazards and not errors:
        raise ValueError("no summary of compute-sanitizer")
    count, warnings = map(int, hazards[-1]) if hazards else (int(errors[0]), 0)
    complaints = [line for line in re.findall(r"^=========\s+(\S.*)", said, re.MULTILINE)
                  if not re.match(r"COMPUTE-SANITIZER|ERROR SUMMARY|RACECHECK SUMMARY", line)]
    first = complaints[0][:200] if complaints and count + warnings else None
    line = f"{count} errors" + (f", {warnings} warnings" if warnings else "") + (f": {first}" if first else "")
    return Reading(line, {"errors": count, "warnings": warnings, "first": first}, count == 0)


def kernels(path: Path) -> Reading:
    """tools/kernel_bench's file."""
    said = _objects(path.read_text(encoding="utf-8"), path.name)
    keys = ("summary", "copy_gigabytes_a_second", "launch_microseconds", "rounds", "dtype")
    return Reading(said["summary"], {key: said[key] for key in keys})


def bench(ended: Ended) -> Reading:
    """brume bench --json, all of it but the samples."""
    said = _objects(ended.output, "its output")
    if not said["device"].startswith("cuda"):
        raise ValueError(f"it ran on {said['device']}")
    facts = {key: value for key, value in said.items() if key != "samples"}
    return Reading(f"{_number(said['steps_per_second'])} steps/s, decode {_number(said['vae_decode_ms'])} ms, "
                   f"{_number(said['pictures_per_second'])} pictures/s", facts)


def peer(path: Path) -> Reading:
    """What tools/compare/gpu_peer.py had measured when it ended, or was ended."""
    said = _objects(path.read_text(encoding="utf-8"), "its file")
    parts = {"steps_per_second": "{} steps/s", "vae_decode_ms": "decode {} ms",
             "pictures_per_second_batch8": "{} pictures/s by eight", "compile_seconds": "compiled in {} s"}
    line = [text.format(_number(said[key])) for key, text in parts.items() if said.get(key) is not None]
    if said.get("peak_memory_bytes"):
        line.append(f"peak {said['peak_memory_bytes'] / 2**30:.2f} GiB")
    if said.get("finite") is False:
        line.append("NOT FINITE")
    return Reading(", ".join(line) or "nothing measured", said)
