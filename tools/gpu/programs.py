"""Which programs and libraries are looked at, and where they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

LIBRARIES = ("libbrume_kernels.so", "libbrume_cuda.so")
SUFFIX = "_gpu_test"
CUDA_BIN = "/usr/local/cuda/bin"
PROBE = """
import importlib.metadata, importlib.util, json, platform
def version(name):
    if importlib.util.find_spec(name) is None: return None
    try: return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError: return "of unknown version"
print(json.dumps({"python": platform.python_version(), "torch": version("torch"), "diffusers": version("diffusers")}))
"""


@dataclass(frozen=True)
class Programs:
    """What is None or empty was not found."""

    brume: Path | None
    tests: dict[str, Path]  # by what stands before _gpu_test
    kernels: Path | None
    sanitizer: str | None
    python: str
    libraries: tuple[Path, ...]  # folders of ours

    def environment(self) -> dict[str, str]:
        """Our libraries come first: the programs may have been built in another place."""
        folders = [*map(str, self.libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        return {"LD_LIBRARY_PATH": ":".join(folder for folder in folders if folder), "BRUME_REQUIRE_GPU": "1",
                "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def _first(folders: list[Path], *places: str) -> Path | None:
    """A file of the first folder that has it, laid out as a build is or flat."""
    return next((path for folder in folders for place in places if (path := folder / place).is_file()), None)


def _tests(folders: list[Path]) -> dict[str, Path]:
    """All of the first folder that has some: those of another build would meet libraries that are not theirs."""
    each = ({path.name.removesuffix(SUFFIX): path for path in [*folder.glob(f"tests/*{SUFFIX}"),
                                                              *folder.glob(f"*{SUFFIX}")]} for folder in folders)
    return next((tests for tests in each if tests), {})


def find(folders: list[Path], python: str) -> Programs:
    """`folders` may each lack something."""
    folders = [folder.resolve() for folder in folders]
    tests = _tests(folders)
    libraries = [_first(folders, f"kernels/{name}", name) for name in LIBRARIES]
    here = [path.parent for path in libraries if path is not None]
    return Programs(_first(folders, "brume"), dict(sorted(tests.items())), libraries[0],
                    shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=CUDA_BIN), python,
                    tuple(dict.fromkeys(here)))


def packages(python: str) -> dict:
    """The versions of Python, torch and diffusers; None for one that is not there."""
    nothing = {"python": None, "torch": None, "diffusers": None}
    try:
        said = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=False, timeout=60)
        return {**nothing, **json.loads(said.stdout)} if said.returncode == 0 else nothing
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return nothing


def brume_version(brume: Path | None, environment: dict[str, str]) -> str | None:
    if brume is None:
        return None
    try:
        said = subprocess.run([str(brume), "--version"], capture_output=True, text=True, check=False, timeout=60,
                              env={**os.environ, **environment})
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (said.stdout + said.stderr).strip().partition("\n")[0]
