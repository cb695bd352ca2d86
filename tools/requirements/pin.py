#!/usr/bin/env python3
"""Writes PROFILE.txt from PROFILE.in: every version and hash that pip would install, for each CPython we support.

    tools/requirements/pin.py cpu cuda cuda-tools vocabulary    the list as it is, for x86_64 and aarch64
    tools/requirements/pin.py reference                         with all that the list pulls in, for the machine this runs on

pip is only asked what it would install: no wheel is downloaded. Needs python3.10 to python3.13 on the PATH, since pip
judges "only before Python 3.12" by the interpreter it runs in. The reference starts at 3.11, as diffusers does.
"""
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
PYTHONS = {"cpu": ["3.10", "3.11", "3.12", "3.13"], "cuda": ["3.10", "3.11", "3.12", "3.13"],
           "cuda-tools": ["3.10", "3.11", "3.12", "3.13"],
           "vocabulary": ["3.11"],  # a wheel that no Python matters to
           "reference": ["3.11", "3.12", "3.13"]}


def platforms(arch):
    tags = [f"manylinux_2_{minor}_{arch}" for minor in range(28, 4, -1)] + [f"manylinux2014_{arch}"]
    return [word for tag in tags for word in ("--platform", tag)]


def would_install(python, profile, extra):
    """Yields (name, version, hash) of each wheel that pip would install."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "report.json")
        subprocess.run([f"python{python}", "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet",
                        "--only-binary=:all:", "--report", path, "--target", pathlib.Path(folder, "site"),
                        "-r", HERE / f"{profile}.in", *extra], check=True)
        for item in json.loads(path.read_text())["install"]:
            meta, archive = item["metadata"], item["download_info"]["archive_info"]
            yield meta["name"].lower(), meta["version"], archive["hash"].replace("=", ":")


def pins(profile):
    """Maps (name, version) to the CPythons that take it and its hashes."""
    found = collections.defaultdict(lambda: (set(), set()))
    extras = [[]] if profile == "reference" else [["--no-deps", *platforms(a)] for a in ("x86_64", "aarch64")]
    for python in PYTHONS[profile]:
        for extra in extras:
            for name, version, digest in would_install(python, profile, extra):
                found[name, version][0].add(python)
                found[name, version][1].add(digest)
    return found


def write(profile):
    lines = [f"# Written by tools/requirements/pin.py from {profile}.in; edit that file instead."]
    for (name, version), (pythons, hashes) in sorted(pins(profile).items()):
        marker = ""
        if len(pythons) < len(PYTHONS[profile]):
            marker = " ; " + " or ".join(f'python_version == "{p}"' for p in PYTHONS[profile] if p in pythons)
        lines.append(f"{name}=={version}{marker} " + " ".join(f"\\\n    --hash={h}" for h in sorted(hashes)))
    (HERE / f"{profile}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[1:]:
        write(name)
