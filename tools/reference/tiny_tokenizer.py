"""A small vocabulary in CLIP's own format: 256 bytes, 256 bytes ending a word, merges, two markers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 96
CORPUS = """a photograph of a red fox in the snow , sharp focus , golden light . a painting of the old
lighthouse at night with stars and the moon over the sea . a small cat on a wooden chair by the window . portrait of
a woman with green eyes , detailed , soft light . blurry , low quality , bad hands , text , watermark . the castle on
the hill in the fog , watercolor . a bowl of fruit and flowers on the table . it 's raining in the street"""


def byte_alphabet() -> list[str]:
    """The printable stand-ins of the 256 bytes, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(hidden))]


def _merge_word(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for symbol in word:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return tuple(merged)


def train_merges(corpus: str, count: int) -> list[tuple[str, str]]:
    """Byte pair encoding; ties go to the first pair in alphabetical order."""
    words = Counter((*word[:-1], word[-1] + "</w>") for word in corpus.split())
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, times in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += times
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = Counter({_merge_word(word, best): times for word, times in words.items()})
    return merges


def make_vocabulary(merges: list[tuple[str, str]], size: int = 0) -> dict[str, int]:
    """CLIP's order; unused entries fill up to `size`, the markers come last."""
    alphabet = byte_alphabet()
    symbols = alphabet + [symbol + "</w>" for symbol in alphabet] + ["".join(pair) for pair in merges]
    symbols += [f"<|unused_{index}|>" for index in range(len(symbols), size - 2)]
    return {symbol: index for index, symbol in enumerate([*symbols, START, END])}


def write_tokenizer(directory: Path, merges: list[tuple[str, str]], vocabulary: dict[str, int], max_length: int,
                    pad: str = END) -> None:
    """Writes vocab.json, merges.txt and the two configuration files."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    marker = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    special = {"bos_token": {"content": START, **marker}, "eos_token": {"content": END, **marker},
               "unk_token": {"content": END, **marker}, "pad_token": pad}
    config = {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": max_length,
              "tokenizer_class": "CLIPTokenizer", "bos_token": START, "eos_token": END, "unk_token": END,
              "pad_token": pad}
    for name, value in (("special_tokens_map.json", special), ("tokenizer_config.json", config)):
        (directory / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
