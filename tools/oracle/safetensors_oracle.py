#!/usr/bin/env python3
"""Compares our verdicts on .safetensors files with those of the reference, the Python package safetensors.

    build/release/tests/safetensors_corpus DIR
    python tools/oracle/safetensors_oracle.py --verdict build/release/tests/safetensors_verdict DIR

Every file of DIR is judged by both. They must agree, except where we are stricter on purpose: the rows of the rule
table in STRICTER (the file's name starts with its row) and the forms in STRICTER_FILES. With --mutations N it also
makes N files by mutating valid headers (seeded) and compares those; there a difference is allowed only if our reason
is one of STRICTER_REASONS.
"""
import argparse
import collections
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

import safetensors

STRICTER = {"S29", "S32", "S33", "S34"}  # duplicate keys, depth, NUL in strings, our own caps
# The reference's JSON library also reads a struct as a list and an enumeration as an object.
STRICTER_FILES = {"S10-list_form", "S12-object_form"}
STRICTER_REASONS = re.compile(r"duplicate key|holds a NUL byte|more than the limit|than the limit of|nested deeper")
BATCH = 500


def reference_verdict(path):
    try:
        safetensors.deserialize(path.read_bytes())
        return "accept", ""
    except Exception as error:  # the package raises SafetensorError, but any exception is a refusal
        return "reject", str(error)


def our_verdicts(program, paths):
    given = "".join(f"{path}\n" for path in paths)
    done = subprocess.run([program], input=given, capture_output=True, text=True, errors="replace", check=True)
    verdicts = {}
    for line in done.stdout.splitlines():
        path, _, verdict = line.partition("\t")
        kind, _, reason = verdict.partition(" ")
        verdicts[path] = (kind, reason)
    return verdicts


def compare(program, paths, allowed):
    """Counts of each outcome, and a line for every difference that is not allowed."""
    counts = collections.Counter()
    wrong = []
    ours = our_verdicts(program, paths)
    for path in paths:
        our, reason = ours[str(path)]
        theirs, their_reason = reference_verdict(path)
        if our == theirs:
            counts[f"both {our}"] += 1
        elif our == "reject" and allowed(path, reason):
            counts["stricter on purpose"] += 1
        else:
            counts["DIFFERENT"] += 1
            wrong.append(f"{path}: ours {our} ({reason}), reference {theirs} ({their_reason})")
    return counts, wrong


PIECES = ["0", "-1", "1", "4", "1.0", "1e3", "-0", "18446744073709551615", "18446744073709551616", "4294967296", "null",
          "true", "{}", "[]", '""', '"a"', '"U8"', '"F32"', '"F4"', '"x":1,', '"__metadata__":{},', ",", ":", "[", "]",
          "{", "}", " ", "\t", "\\u0041", "\\ud800", "\\ud83c\\udf4e", "\x00", "\x0c", "\u00e9", '"shape":[1],']


def mutated(rng):
    """A valid file of one to three tensors after zero to three edits of its header."""
    entries, begin = [], 0
    for i in range(rng.randint(1, 3)):
        dtype, bits = rng.choice([("U8", 8), ("F32", 32), ("F4", 4), ("F64", 64), ("F6_E2M3", 6)])
        shape = [rng.choice([0, 1, 2, 4]) for _ in range(rng.randint(0, 3))]
        count = 1
        for size in shape:
            count *= size
        end = begin + count * bits // 8
        entries.append(f'"t{i}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}')
        begin = end
    rng.shuffle(entries)
    header = "{" + ",".join(entries) + "}"
    for _ in range(rng.randint(0, 3)):
        tokens = re.findall(r'"[^"]*"|-?\d+|.', header, re.S)
        at = rng.randrange(len(tokens))
        edit = rng.randrange(4)
        if edit == 0:
            tokens[at] = rng.choice(PIECES)
        elif edit == 1:
            tokens.insert(at, rng.choice(PIECES))
        elif edit == 2:
            del tokens[at]
        else:
            tokens[at] = rng.choice(tokens)
        header = "".join(tokens) or "{"
    raw = header.encode()
    if rng.random() < 0.1:
        at = rng.randrange(len(raw))
        raw = raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1:]
    return struct.pack("<Q", len(raw)) + raw + bytes(begin + (rng.random() < 0.05))


def compare_mutations(program, count, seed):
    rng = random.Random(seed)
    counts, wrong = collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / f"{i}.safetensors" for i in range(BATCH)]
        for start in range(0, count, BATCH):
            batch = paths[:min(BATCH, count - start)]
            for path in batch:
                path.write_bytes(mutated(rng))
            # As lists or objects, the forms of STRICTER_FILES, a mutation does not happen to be valid elsewhere.
            part, lines = compare(program, batch, lambda _, reason: STRICTER_REASONS.search(reason))
            counts += part
            wrong += [f"{line}\n  {pathlib.Path(line.split(': ours')[0]).read_bytes()!r}" for line in lines]
    return counts, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--verdict", required=True, help="the program safetensors_verdict")
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    def listed(path, _):
        return path.name.split("-")[0] in STRICTER or path.stem in STRICTER_FILES

    counts, wrong = compare(args.verdict, sorted(args.directory.glob("*.safetensors")), listed)
    print("corpus:", dict(counts))
    if args.mutations:
        more, lines = compare_mutations(args.verdict, args.mutations, args.seed)
        print("mutations:", dict(more))
        wrong += lines
    print("\n".join(wrong[:20]))
    return 1 if wrong or not counts else 0


if __name__ == "__main__":
    sys.exit(main())
