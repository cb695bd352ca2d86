"""The machine and the versions: a figure without them cannot be checked."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

SETTINGS = ("TORCH", "OMP_", "MKL", "KMP_", "ONEDNN", "DNNL", "BRUME")


def cores() -> int:
    return len(os.sched_getaffinity(0))


def _line_of(path: str, key: str) -> str | None:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def machine() -> dict:
    flags = (_line_of("/proc/cpuinfo", "flags") or "").split()
    return {"name": platform.node(), "processor": _line_of("/proc/cpuinfo", "model name") or platform.machine(),
            "cores": cores(), "memory": _line_of("/proc/meminfo", "MemTotal"), "system": platform.platform(),
            "instruction_sets": [flag for flag in flags if flag.startswith(("avx", "amx"))]}


def _version_of(program: Path, flag: str) -> str:
    said = subprocess.run([str(program), flag], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).strip().partition("\n")[0]


def versions(brume: Path, sd_cli: Path | None) -> dict:
    packages = {}
    for name in ("torch", "diffusers", "transformers"):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = "none"
    return {"brume": _version_of(brume, "--version"), **packages, "python": platform.python_version(),
            "sd-cli": None if sd_cli is None else _version_of(sd_cli, "--version")}


def settings() -> dict[str, str]:
    """Of the environment, what changes the speed of torch and of brume."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)}
