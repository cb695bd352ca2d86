"""What nvidia-smi knows of the GPU: a figure without its clocks cannot be checked."""

from __future__ import annotations

import subprocess

FIELDS = ("name", "driver_version", "memory.total", "memory.used", "clocks.sm", "clocks.mem", "clocks.max.sm",
          "clocks.max.mem", "power.draw", "power.limit", "temperature.gpu")
TEXTS = ("name", "driver_version")
CHANGING = ("memory.used", "clocks.sm", "clocks.mem", "power.draw", "temperature.gpu")
SECONDS = 20


def _value(field: str, text: str) -> str | float | None:
    """MHz, MiB, W and degrees are numbers; what a GPU does not say is None."""
    if field in TEXTS:
        return text
    try:
        return float(text)
    except ValueError:
        return None


def parse(output: str) -> dict:
    """The first GPU's line; ValueError where it is no such line."""
    line = output.strip().partition("\n")[0]
    values = [value.strip() for value in line.split(",")]
    if len(values) != len(FIELDS):
        raise ValueError(f"nvidia-smi said {line[:200]!r}")
    return {field: _value(field, value) for field, value in zip(FIELDS, values)}


def look() -> dict:
    """ValueError says why nothing is known."""
    command = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"nvidia-smi: {error}") from error
    if said.returncode != 0:
        raise ValueError("nvidia-smi: " + ((said.stdout + said.stderr).strip().partition("\n")[0] or "no GPU"))
    return parse(said.stdout)


def changing() -> dict | None:
    """What a run changes, as it is just after one."""
    try:
        now = look()
    except ValueError:
        return None
    return {field: now[field] for field in CHANGING}
