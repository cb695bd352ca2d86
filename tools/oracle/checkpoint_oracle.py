#!/usr/bin/env python3
"""Compares what brume and torch read in changed checkpoint files.

    .deps/reference/bin/python tools/oracle/checkpoint_oracle.py --verdict build/asan/tests/checkpoint_verdict \\
        --mutations 20000

Takes the files of tests/cases/checkpoints, changes each a little (opcodes left out, doubled, put elsewhere or given
other arguments, with a checksum that is right; bytes of the whole file), and reads each by torch.load(weights_only=True)
and by brume. What brume accepts torch must accept too, with the same tensors, bit for bit; except for what brume does
not look into (LENIENT). What brume alone refuses is counted by its reason. A crash of the program ends the run.
"""
import argparse
import collections
import hashlib
import io
import pathlib
import pickletools
import random
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "reference"))
from checkpoint_cases import DTYPES, key_text, stand_in  # noqa: E402

# Torch calls numpy, codecs and set where brume makes an object that holds nothing; it hashes keys, and asks for a
# storage's device.
LENIENT = re.compile(r"numpy|dtype|data type|ndarray|unhashable|encod|codec|latin|iterable|scalar|reconstruct|"
                     r"ModelCheckpoint|takes no arguments|__dict__|state is not|not understood|buffer|itemsize|"
                     r"set\(\)|set expected|a bytes-like object|restore data location|__setstate__|"
                     r"interpreted as an integer|initialization string")
# The first two are no archives for zipfile, or not for torch.load; in the last a tensor lies in what brume does not read.
LEFT_OUT = {"no_checksums.ckpt", "torchscript.pt", "callback_object.ckpt"}
BATCH = 400


def digest(tensor):
    # A copy, as contiguous() may leave a stride of 5 to a dimension of 1.
    copy = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
    raw = bytes(copy.flatten().view(torch.uint8).tolist()) if tensor.numel() else b""
    shape = ",".join(str(size) for size in tensor.shape)
    return f"{DTYPES.get(tensor.dtype, tensor.dtype)} [{shape}] {hashlib.sha256(raw).hexdigest()[:16]}"


def name_bytes(name):
    return name if isinstance(name, bytes) else str(name).encode("utf-8", "surrogatepass")


def tensors_of(loaded):
    """As PickledCheckpoint names them: every container once, state_dict first."""
    found, entered = {}, set()

    def enter(value, path):
        if isinstance(value, torch.Tensor):
            found[path] = digest(value)
        if not isinstance(value, (dict, list, tuple)) or id(value) in entered:
            return
        entered.add(id(value))
        if isinstance(value, dict):
            items = [(key if isinstance(key, bytes) else key_text(key), one) for key, one in value.items()]
        else:
            items = [(str(index), one) for index, one in enumerate(value)]
        for key, one in items:
            if key is not None:
                enter(one, path + b"." * bool(path) + name_bytes(key))

    model = loaded.get("state_dict", loaded.get(b"state_dict"))
    if isinstance(model, dict):
        enter(model, b"")
    enter(loaded, b"")
    return {name.hex(): value for name, value in found.items()}


def torch_verdict(path):
    try:
        loaded = torch.load(path, weights_only=True)
        if not isinstance(loaded, dict):
            return "reject", "no dict"
        return "accept", tensors_of(loaded)
    except Exception as error:  # whatever torch raises is a refusal
        return "reject", f"{type(error).__name__}: {error}"


def our_verdicts(program, paths):
    given = "".join(f"{path}\n" for path in paths)
    done = subprocess.run([program], input=given, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise SystemExit(f"{program} ended with {done.returncode} after {done.stdout[-300:]}\n{done.stderr}")
    verdicts = {}
    for line in done.stdout.splitlines():
        path, verdict, *tensors = line.split("\t")
        accepted = verdict == "accept"
        found = dict(tensor.split(" ", 1) if " " in tensor else (tensor, "") for tensor in tensors)
        verdicts[path] = ("accept", found) if accepted else ("reject", verdict.removeprefix("reject "))
    return verdicts


def packed(source, pickle):
    """The file with another pickle, and checksums that are right."""
    out = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            raw = pickle if entry.filename.endswith("/data.pkl") else old.read(entry)
            new.writestr(zipfile.ZipInfo(entry.filename), raw)
    return out.getvalue()


def opcodes_of(pickle):
    starts = [position for _, _, position in pickletools.genops(pickle)]
    return [pickle[a:b] for a, b in zip(starts, starts[1:] + [len(pickle)])]


def changed_pickle(rng, pickle, spare):
    parts = opcodes_of(pickle)
    for _ in range(rng.randint(1, 3)):
        at, other = rng.randrange(1, len(parts)), rng.randrange(1, len(parts))
        edit = rng.randrange(7)
        if edit == 0 and len(parts) > 3:
            del parts[at]
        elif edit == 1:
            parts.insert(at, parts[other])
        elif edit == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif edit == 3:
            parts[at] = rng.choice(spare)
        elif len(parts[at]) > 1:  # an argument
            raw = bytearray(parts[at])
            raw[rng.randrange(1, len(raw))] = rng.choice([0, 1, 2, 3, 4, 5, 127, 128, 255, rng.randrange(256)])
            parts[at] = bytes(raw)
    return b"".join(parts)


def changed_bytes(rng, raw):
    out = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        # The headers of the archive are mostly at its end.
        at = rng.randrange(len(out)) if rng.random() < 0.5 else rng.randrange(max(0, len(out) - 800), len(out))
        out[at] = rng.randrange(256)
    return bytes(out[:rng.randrange(len(out))]) if rng.random() < 0.05 else bytes(out)


def compare(program, paths, counts, wrong):
    ours = our_verdicts(program, paths)
    for path in paths:
        our, what = ours[str(path)]
        their, reference = torch_verdict(path)
        if our == their == "accept":
            counts["both accept" if what == reference else "DIFFERENT TENSORS"] += 1
            if what != reference:
                wrong.append((path.read_bytes(), f"ours {what}\n torch {reference}"))
        elif our == their:
            counts["both reject"] += 1
        elif our == "accept":
            allowed = LENIENT.search(reference)
            counts["lenient: not looked into" if allowed else "TORCH ALONE REFUSES"] += 1
            if not allowed:
                wrong.append((path.read_bytes(), f"torch: {reference}"))
        else:
            reason = re.sub(r"\"[^\"]*\"|\d+|0x[0-9a-f]+", "#", what.split(": ", 1)[1].split(";")[0])
            counts[f"stricter: {reason[:90]}"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdict", required=True, help="the program checkpoint_verdict")
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=pathlib.Path, help="a directory for files that differ")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    stand_in()
    rng = random.Random(args.seed)
    sources = [path for path in sorted((ROOT / "tests" / "cases" / "checkpoints").iterdir())
               if path.suffix != ".json" and path.read_bytes()[:2] == b"PK" and path.name not in LEFT_OUT]
    pickles = {}
    for path in sources:
        with zipfile.ZipFile(path) as archive:
            pickles[path] = next(archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl"))
    spare = sorted({part for pickle in pickles.values() for part in opcodes_of(pickle)})
    counts, wrong = collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / f"{i}.ckpt" for i in range(BATCH)]
        for start in range(0, args.mutations, BATCH):
            batch = paths[:min(BATCH, args.mutations - start)]
            for path in batch:
                source = rng.choice(sources)
                path.write_bytes(changed_bytes(rng, source.read_bytes()) if rng.random() < 0.3
                                 else packed(source, changed_pickle(rng, pickles[source], spare)))
            compare(args.verdict, batch, counts, wrong)
    for reason, count in counts.most_common():
        print(f"{count:8} {reason}")
    for index, (raw, line) in enumerate(wrong[:20]):
        print(line)
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            (args.keep / f"{index}.ckpt").write_bytes(raw)
    return 1 if wrong or not counts["both accept"] else 0


if __name__ == "__main__":
    sys.exit(main())
