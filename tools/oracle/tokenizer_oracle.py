#!/usr/bin/env python3
"""Compares brume's ids with transformers' on CLIP's real vocabulary: the committed corpus, every code point, and
random strings, for several kinds of tokenizer directory.

    cmake --build --preset release --target tokenizer_ids
    python tools/oracle/tokenizer_oracle.py build/release/tests/tokenizer_ids bpe_simple_vocab_16e6.txt.gz [LAYOUT...]

The vocabulary is in PyPI's open_clip_torch (pip install --no-deps --target DIR open_clip_torch)."""
import gzip, json, os, random, subprocess, sys, tempfile
from transformers import CLIPTokenizer
from transformers.utils import logging

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tokenizer_corpus import ODD, WORDS, byte_symbols, write_directory

RANDOM = 200_000


def edit(directory, name, **values):
    path = f"{directory}/{name}"
    root = json.load(open(path)) if os.path.exists(path) else {}
    root.update(values)
    json.dump(root, open(path, "w"))


def directories(root, vocabulary):
    """name -> directory: the layouts that are about."""
    lines = gzip.open(vocabulary).read().decode().split("\n")[1:49152 - 256 - 2 + 1]
    merges = [tuple(line.split()) for line in lines]
    made = {}

    def fresh(name):
        made[name] = f"{root}/{name}"
        write_directory(made[name], byte_symbols()[0], merges)
        return made[name]

    assert len(json.load(open(fresh("sd1") + "/vocab.json"))) == 49408
    edit(fresh("pad-exclamation"), "special_tokens_map.json", pad_token="!")
    only = fresh("bare")
    os.remove(only + "/tokenizer_config.json")
    os.remove(only + "/special_tokens_map.json")
    for name in ("sd1", "pad-exclamation"):
        made[name + "-v5"] = f"{root}/{name}-v5"
        CLIPTokenizer.from_pretrained(made[name]).save_pretrained(made[name + "-v5"])
    flags = lambda text, **f: dict(content=text, single_word=False, **{"lstrip": False, "rstrip": False, "normalized": False,
                                                                       "special": True, **f})
    edit(fresh("flags"), "tokenizer_config.json", added_tokens_decoder={
        "49406": flags("<|startoftext|>", lstrip=True), "49407": flags("<|endoftext|>", rstrip=True, normalized=True),
        "49408": flags("<Cat>", normalized=True, lstrip=True, special=False), "16": flags("1"), "49409": flags("42x")})
    edit(fresh("added"), "added_tokens.json", **{"Dog": 49408, "don't": 49409})
    return made


def strings(rng):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(f"{here}/../../tests/cases/tokenizer/corpus.jsonl") as corpus:
        yield from (json.loads(line)["text"] for line in corpus)
    extra = ODD + ["42x", "<cat>", "<CAT>", " dog ", "Dog", "don't", "!", " "]
    for _ in range(RANDOM):
        parts = []
        for _ in range(rng.randint(1, 9)):
            kind = rng.random()
            if kind < 0.4:
                parts.append(rng.choice(extra))
            elif kind < 0.6:
                parts.append(rng.choice([str.lower, str.upper, str.title])(rng.choice(WORDS)))
            elif kind < 0.85:
                parts.append(chr(rng.choice([rng.randrange(0x3000), rng.randrange(0xA000, 0xD800), rng.randrange(0x1E000)])))
            else:
                parts.append(chr(rng.randrange(0x110000)))
        text = rng.choice(["", "", " "]).join(parts)
        yield "".join(c for c in text if not 0xD800 <= ord(c) < 0xE000)


def code_points():
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            yield f"a{chr(c)}b {chr(c)}"


def compare(name, what, program, directory, texts):
    reference = CLIPTokenizer.from_pretrained(directory)
    bad = 0
    with tempfile.TemporaryFile("w+") as file:
        file.writelines(json.dumps(text) + "\n" for text in texts)
        file.seek(0)
        out = subprocess.run([program, directory], stdin=file, stdout=subprocess.PIPE, check=True, text=True).stdout
    lines = out.splitlines()
    assert len(lines) == len(texts)
    for start in range(0, len(texts), 10000):
        ids = reference(texts[start:start + 10000], add_special_tokens=False)["input_ids"]
        for text, want, line in zip(texts[start:start + 10000], ids, lines[start:start + 10000]):
            if json.loads(line) != want:
                bad += 1
                if bad <= 5:
                    print("   differs:", ascii(text), want, line)
    print(f"{name}, {what}: {len(texts)} strings, {bad} differ", flush=True)
    return bad


def main():
    logging.set_verbosity_error()
    program, vocabulary, *names = sys.argv[1:]
    bad = 0
    with tempfile.TemporaryDirectory() as root:
        made = directories(root, vocabulary)
        if not names:
            bad += compare("sd1", "all code points", program, made["sd1"], list(code_points()))
        for seed, (name, directory) in enumerate(made.items()):
            if not names or name in names:
                bad += compare(name, "corpus and random", program, directory, list(strings(random.Random(seed))))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
