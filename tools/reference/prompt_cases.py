"""What the prompt language means, worked out another way than the program does: weights by the brackets around each
letter, schedules by building the text from a tree whose meaning is known, windows from the reference's tokenizers, and
words and whole walks by the reference's networks."""

from __future__ import annotations

import itertools
import math
import random
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDIMScheduler

from pipeline_cases import load_pipeline
from tiny_models import FAMILIES
from tiny_weights import write_case

BACKTRACK = 20
TOKEN = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?[.\d]+)\s*\)|\)|\]|[^\\()\[\]:]+|:")
BREAK = re.compile(r"\s*\bBREAK\b\s*")
WORDS = ("a", "fox", "red", "snow", "castle", " ", ", ", ",", "BREAK", " BREAK ", "é", "山", "BREAKS", "_", "1.3", "\n")


# Emphasis

@dataclass
class Bracket:
    """What stands between two places of the list of pieces is multiplied; `closed` orders the products."""

    first: int
    last: int
    factor: float
    closed: int


def _as_weight(number: str) -> float | None:
    try:
        return float(number)
    except ValueError:
        return None


def emphasis(text: str) -> list[list]:
    """[text, weight] and, where a window ends, ["BREAK"]."""
    pieces: list[str | None] = []  # None: BREAK
    open_at: dict[str, list[int]] = {"(": [], "[": []}
    brackets: list[Bracket] = []
    clock = itertools.count()

    def close(kind: str, factor: float) -> bool:
        if not open_at[kind]:
            return False
        brackets.append(Bracket(open_at[kind].pop(), len(pieces), factor, next(clock)))
        return True

    at = 0
    while at < len(text):
        token = TOKEN.match(text, at)
        assert token is not None
        found, number = token.group(0), token.group(1)
        weight = None if number is None else _as_weight(number)
        if number is not None and weight is None:
            found = ":"  # no number: the letters stand for themselves
        at += len(found)
        if found.startswith("\\"):
            pieces.append(found[1:])
        elif found in "([":
            open_at[found].append(len(pieces))
        elif weight is not None and close("(", weight):
            pass
        elif found == ")" and close("(", 1.1):
            pass
        elif found == "]" and close("[", 1 / 1.1):
            pass
        else:
            for i, part in enumerate(BREAK.split(found)):
                pieces += [None, part] if i else [part]
    for kind, factor in (("(", 1.1), ("[", 1 / 1.1)):
        for first in open_at[kind]:
            brackets.append(Bracket(first, len(pieces), factor, next(clock)))
    weights = [math.prod([b.factor for b in sorted(brackets, key=lambda b: b.closed) if b.first <= i < b.last],
                         start=1.0) for i in range(len(pieces))]
    merged: list[list] = []
    for piece, weight in zip(pieces or [""], weights or [1.0]):
        if piece is None:
            merged.append(["BREAK"])
        elif merged and len(merged[-1]) == 2 and merged[-1][1] == weight:
            merged[-1][0] += piece
        else:
            merged.append([piece, weight])
    return merged


EMPHASIS = (
    "", "normal text", "an (important) word", "(unbalanced", "unbalanced)", r"\(literal\]", "(unnecessary)(parens)",
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", "[[a]b", "a]b", "(a [b) c]", "(a:1.2:1.3)", "(a: 1.2 )",
    "(a:-0.5)", "(a:+.5)", "(a:1.)", "(a:1.2.3)", "(a:.)", "a:1.2)", "(:1.5)", "()", "[]", "\\", "\\\\", "a\\b", "a\\:b",
    "a BREAK b", "BREAK", "a BREAK BREAK b", "BREAKa", "aBREAK", "a,BREAK,b", "(a BREAK b:1.5)", "x:BREAK", "16:9",
    "(a:b:1.4)", "((a:1.5) b)", "[(a:1.5) b]", "(((((a", "a\u00a0BREAK\u3000b", "éBREAK", "_BREAK", "(\\(:1.5)")


def _random_text(rng: random.Random, parts: tuple[str, ...], most: int) -> str:
    return "".join(rng.choice(parts) for _ in range(rng.randint(0, most)))


def emphasis_cases(rng: random.Random) -> list[dict]:
    parts = WORDS + ("(", ")", "[", "]", ":", ":1.3)", ":0.7)", "\\", "\\(", ":1.2.1)") + ("(", ")")
    texts = list(EMPHASIS) + [_random_text(rng, parts, 12) for _ in range(400)]
    return [{"text": text, "pieces": emphasis(text)} for text in texts]


# Schedules: a tree is written as a prompt, and says itself what it means in each step.

class Plain:
    def __init__(self, text: str) -> None:
        self.text = text

    def write(self) -> str:
        return self.text

    def at(self, _step: int) -> str:
        return self.text

    def ends(self, _steps: int) -> set[int]:
        return set()


class Sequence:
    def __init__(self, nodes: list) -> None:
        self.nodes = nodes

    def write(self) -> str:
        return "".join(node.write() for node in self.nodes)

    def at(self, step: int) -> str:
        return "".join(node.at(step) for node in self.nodes)

    def ends(self, steps: int) -> set[int]:
        return set().union(*(node.ends(steps) for node in self.nodes))


class Enclosed:
    """Brackets that stay, with or without a weight."""

    def __init__(self, opening: str, inner, closing: str) -> None:
        self.opening, self.inner, self.closing = opening, inner, closing

    def write(self) -> str:
        return self.opening + self.inner.write() + self.closing

    def at(self, step: int) -> str:
        return self.opening + self.inner.at(step) + self.closing

    def ends(self, steps: int) -> set[int]:
        return self.inner.ends(steps)


class Scheduled:
    def __init__(self, before, after, when: str, steps: int) -> None:
        self.before, self.after, self.when = before, after, when
        self.last = min(steps, int(float(when) * steps if "." in when else float(when)))

    def write(self) -> str:
        first = "" if self.before is None else self.before.write() + ":"
        return f"[{first}{self.after.write()}:{self.when}]"

    def at(self, step: int) -> str:
        if step > self.last:
            return self.after.at(step)
        return "" if self.before is None else self.before.at(step)

    def ends(self, steps: int) -> set[int]:
        inner = self.after.ends(steps) | (set() if self.before is None else self.before.ends(steps))
        return inner | ({self.last} if self.last >= 1 else set())


class Alternate:
    def __init__(self, branches: list) -> None:
        self.branches = branches

    def write(self) -> str:
        return "[" + "|".join(branch.write() for branch in self.branches) + "]"

    def at(self, step: int) -> str:
        return self.branches[(step - 1) % len(self.branches)].at(step)

    def ends(self, steps: int) -> set[int]:
        return set(range(1, steps + 1))


def _tree(rng: random.Random, steps: int, depth: int) -> Sequence:
    nodes = []
    for _ in range(rng.randint(0, 3)):
        kind = rng.randint(0, 7) if depth else 0
        if kind < 3:
            nodes.append(Plain(rng.choice(("a", " fox", ", ", "snow ", "\\(x\\)", "\\:", "é", "{b", "BREAK"))))
        elif kind == 3:
            nodes.append(Enclosed("(", _tree(rng, steps, depth - 1), rng.choice((")", ":1.3)"))))
        elif kind == 4:
            nodes.append(Enclosed("[", _tree(rng, steps, depth - 1), "]"))
        elif kind < 7:
            when = rng.choice(("0", "1", "3", "7", "99", "-2", "0.25", ".5", "1.0", "0.9", " 4", "2 ", "+3", "1e0", "5."))
            before = None if rng.random() < 0.4 else _tree(rng, steps, depth - 1)
            nodes.append(Scheduled(before, _tree(rng, steps, depth - 1), when, steps))
        else:
            nodes.append(Alternate([_tree(rng, steps, depth - 1) for _ in range(rng.randint(2, 3))]))
    return Sequence(nodes)


def merged(texts: list[list]) -> list[list]:
    """Neighbours that say the same are one."""
    out: list[list] = []
    for end, text in texts:
        if out and out[-1][1] == text:
            out[-1][0] = end
        else:
            out.append([end, text])
    return out


# By hand, ten steps: what A1111's own documentation says, and what is no schedule.
SCHEDULES = {
    "test": [[10, "test"]],
    "a [b:3]": [[3, "a "], [10, "a b"]],
    "a [b: 3]": [[3, "a "], [10, "a b"]],
    "a [[[b]]:2]": [[2, "a "], [10, "a [[b]]"]],
    "[(a:2):3]": [[3, ""], [10, "(a:2)"]],
    "a [b : c : 1] d": [[1, "a b  d"], [10, "a  c  d"]],
    "a[b:[c:d:2]:1]e": [[1, "abe"], [2, "ace"], [10, "ade"]],
    "a [unbalanced": [[10, "a [unbalanced"]],
    "a [b:.5] c": [[5, "a  c"], [10, "a b c"]],
    "a [{b|d{:.5] c": [[10, "a [{b|d{:.5] c"]],
    "((a][:b:c [d:3]": [[3, "((a][:b:c "], [10, "((a][:b:c d"]],
    "[a|(b:1.1)]": [[n, "(b:1.1)" if n % 2 == 0 else "a"] for n in range(1, 11)],
    "[fe|]male": [[n, "male" if n % 2 == 0 else "female"] for n in range(1, 11)],
    "[fe|||]male": merged([[n, "female" if n % 4 == 1 else "male"] for n in range(1, 11)]),
    "[a::10]": [[10, "a"]],
    "[a::4] b": [[4, "a b"], [10, " b"]],
    "[a:10]": [[10, ""]],
    "[a:b:0]": [[10, "b"]],
    "[a:b]": [[10, "[a:b]"]],
    "[a:b:c:3]": [[10, "[a:b:c:3]"]],
    "[a:b:3": [[10, "[a:b:3"]],
    "[a:(b:3]": [[10, "[a:(b:3]"]],
    "x | y [a:b:3]": [[10, "x | y [a:b:3]"]],
    "(x|y) [a:b:3]": [[10, "(x|y) [a:b:3]"]],
    "[a:b|c:3]": [[10, "[a:b|c:3]"]],
    "[a:b:3]\\": [[10, "[a:b:3]\\"]],
    "[a:b:3] \\| c": [[3, "a \\| c"], [10, "b \\| c"]],
    "[x:[a:b:3]]": [[3, "[x:a]"], [10, "[x:b]"]],
    "[a ) [b:c:5] : d : 3]": [[5, "[a ) b : d : 3]"], [10, "[a ) c : d : 3]"]],
    "[5]": [[10, "[5]"]],
    "[:5]": [[10, ""]],
    "[a:5:5]": [[5, "a"], [10, "5"]],
    "[a:b:3x]": [[10, "[a:b:3x]"]],
    "[a:b:]": [[10, "[a:b:]"]],
    "(a:b:c) [d:2]": [[2, "(a:b:c) "], [10, "(a:b:c) d"]],
    "[(a:b:c):d:2]": [[10, "[(a:b:c):d:2]"]],
}


def schedule_cases(rng: random.Random) -> list[dict]:
    cases = [{"text": text, "steps": 10, "texts": merged(texts)} for text, texts in SCHEDULES.items()]
    while len(cases) < 400:
        steps = rng.choice((1, 4, 10, 20))
        tree = _tree(rng, steps, 3)
        # Two bare ones side by side could be read as one.
        ends = sorted(end for end in tree.ends(steps) | {steps})
        cases.append({"text": tree.write(), "steps": steps, "texts": merged([[end, tree.at(end)] for end in ends])})
    return cases


PARTS = {
    "a fox": [["a fox", 1.0]],
    "16:9": [["16:9", 1.0]],
    "a AND b": [["a", 1.0], [" b", 1.0]],
    "a fox :1.2 AND snow :0.8 ": [["a fox", 1.2], [" snow", 0.8]],
    "a:-1 AND b:.5": [["a", -1.0], [" b", 0.5]],
    "a:1AND b": [["a:1AND b", 1.0]],
    "aANDb AND c:5.": [["aANDb", 1.0], [" c", 5.0]],
    "BRAND AND SAND": [["BRAND", 1.0], [" SAND", 1.0]],
    "AND": [["", 1.0], ["", 1.0]],
    "a AND b:1:2": [["a", 1.0], [" b:1", 2.0]],
    "a AND (b:1.2)": [["a", 1.0], [" (b:1.2)", 1.0]],
    "a AND b: x": [["a", 1.0], [" b: x", 1.0]],
    "a\nAND\nb :0.3\n": [["a", 1.0], ["\nb", 0.3]],
    "a AND b:1.2.3": [["a", 1.0], [" b:1.2.3", 1.0]],
    "a AND b:+2 AND c:-": [["a", 1.0], [" b", 2.0], [" c:-", 1.0]],
}


# Windows

CHUNKED = (
    "", "a red fox in the snow", "the castle on the hill " * 5, "a, red, fox, in, the, snow, at, night, with, light",
    "a red fox BREAK in the snow", "BREAK a red fox", "a fox BREAK BREAK snow", "a fox BREAK", "a (red:1.3) fox, [snow]",
    "the castle, on the hill with light and water and a cat in the bowl (by the castle:1.5), blurry",
    ", " * 30, "(the castle on the hill, " * 4, "detailed castle light water bowl chair cat, blue and the castle")


def windows(tokenizer, text: str, compat: str) -> dict:
    """`ids` and `weights` of each window without its marks, and how many tokens are cut."""
    room = tokenizer.model_max_length - 2
    comma = tokenizer(",", add_special_tokens=False).input_ids
    done: list[list[tuple[int, float, bool]]] = []
    now: list[tuple[int, float, bool]] = []  # whether a window may end behind it
    pieces = [[text, 1.0]] if compat == "diffusers" else emphasis(text)
    for piece in pieces:
        if piece == ["BREAK"]:
            if compat == "a1111" or now:
                done, now = [*done, now], []
            continue
        for token in tokenizer(piece[0], add_special_tokens=False).input_ids:
            is_comma = [token] == comma
            full = len(now) == room
            if full:
                ends = [i for i, one in enumerate(now) if one[2]]
                moved = compat == "a1111" and not is_comma and ends and room - ends[-1] <= BACKTRACK
                keep = ends[-1] + 1 if moved else room
                done, now = [*done, now[:keep]], now[keep:]
                if len(now) == room:
                    raise AssertionError(text)
            # A comma that only the next window has room for does not count, in A1111.
            now.append((token, piece[1], is_comma and not full))
    if now or not done:
        done.append(now)
    most = 1 if compat == "diffusers" else len(done)
    return {"ids": [[token for token, _, _ in one] for one in done[:most]],
            "weights": [[weight for _, weight, _ in one] for one in done[:most]],
            "cut": sum(len(one) for one in done[most:])}


def window_ids(tokenizer, ids: list[int]) -> list[int]:
    padded = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
    return padded + [tokenizer.pad_token_id] * (tokenizer.model_max_length - len(padded))


# Words and walks

ENCODED = {
    "emphasis": {"text": "a (red:1.4) fox in the [snow]", "compat": "a1111"},
    "windows": {"text": "the castle on the hill, with a (cat:1.3) in it BREAK blue water and light", "compat": "a1111"},
    "sdcpp": {"text": "the castle on the hill, with a (cat:1.3) in it BREAK blue water and light", "compat": "sdcpp"},
    "plain_windows": {"text": "the castle on the hill " * 4, "compat": "a1111"},
}


def _states(encoder, ids: list[list[int]], is_xl: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    output = encoder(torch.tensor(ids), output_hidden_states=True)
    words = output.hidden_states[-2] if is_xl else output.last_hidden_state
    return words, getattr(output, "text_embeds", None)


def _weighted(words: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """[T, D] of one window."""
    if bool((weights == 1).all()):
        return words
    changed = words * weights[:, None]
    return changed * (words.mean() / changed.mean())


@torch.no_grad()
def encode(pipe, text: str, compat: str) -> dict[str, torch.Tensor]:
    is_xl = hasattr(pipe, "text_encoder_2")
    towers, pooled, weights = [], None, []
    for suffix in ("", "_2") if is_xl else ("",):
        tokenizer = getattr(pipe, f"tokenizer{suffix}")
        cut = windows(tokenizer, text, compat)
        words, pooled = _states(getattr(pipe, f"text_encoder{suffix}"),
                                [window_ids(tokenizer, ids) for ids in cut["ids"]], is_xl)
        weights = [torch.tensor([1.0, *row] + [1.0] * (tokenizer.model_max_length - 1 - len(row)))
                   for row in cut["weights"]]
        towers.append(words if compat == "sdcpp" else
                      torch.stack([_weighted(one, row) for one, row in zip(words, weights)]))
    together = torch.cat(towers, -1)
    if compat == "sdcpp":
        together = torch.stack([_weighted(one, row) for one, row in zip(together, weights)])
    tensors = {"context": together.reshape(1, -1, together.shape[-1])}
    return tensors | ({"pooled": pooled[:1]} if is_xl else {})


# Parts of AND: weight, and the texts up to their last steps as A1111 counts (0 to `last`).
WALK = {
    "prompt": "a [red:blue:0.5] fox AND (snow:1.3) on the castle, with light and water and a cat in it :0.7",
    "negative_prompt": "blurry [text|water]", "steps": 4, "guidance_scale": 5.0, "seed": 77, "height": 40, "width": 24,
    "parts": [{"weight": 1.0, "texts": [[2, "a red fox"], [4, "a blue fox"]]},
              {"weight": 0.7, "texts": [[4, " (snow:1.3) on the castle, with light and water and a cat in it"]]}],
    "negative": [[1, "blurry text"], [2, "blurry water"], [3, "blurry text"], [4, "blurry water"]],
}


def _text_in(texts: list[list], step: int) -> str:
    return next(text for last, text in texts if step <= last)


@torch.no_grad()
def walk(pipe) -> dict[str, torch.Tensor]:
    """Every step by hand: one call of the UNet for each text."""
    scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(WALK["steps"])
    shape = (1, pipe.unet.config.in_channels, WALK["height"] // 8, WALK["width"] // 8)
    latents = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(WALK["seed"]))
    size = (float(WALK["height"]), float(WALK["width"]))
    ids = torch.tensor([[*size, 0.0, 0.0, *size]])

    def predict(text: str, timestep: torch.Tensor) -> torch.Tensor:
        words = encode(pipe, text, "a1111")
        added = {"text_embeds": words["pooled"], "time_ids": ids} if "pooled" in words else None
        return pipe.unet(latents, timestep, words["context"], added_cond_kwargs=added).sample

    tensors = {}
    for step, timestep in enumerate(scheduler.timesteps):
        negative = predict(_text_in(WALK["negative"], step), timestep)
        total = negative
        for part in WALK["parts"]:
            prediction = predict(_text_in(part["texts"], step), timestep)
            total = total + WALK["guidance_scale"] * part["weight"] * (prediction - negative)
        latents = scheduler.step(total, timestep, latents).prev_sample
        tensors[f"latents_step{step}"] = latents
    return tensors


def make_prompt_cases(models: Path, output: Path) -> None:
    rng = random.Random(20240601)
    case = {"emphasis": emphasis_cases(rng), "schedules": schedule_cases(rng),
            "parts": [{"text": text, "parts": parts} for text, parts in PARTS.items()],
            "windows": [], "encoded": ENCODED, "walk": WALK}
    tensors = {}
    for family in FAMILIES:
        pipe = load_pipeline(models / family.name)
        for text, compat in itertools.product(CHUNKED, ("a1111", "sdcpp", "diffusers")):
            case["windows"].append({"model": family.name, "text": text, "compat": compat,
                                    **windows(pipe.tokenizer, text, compat)})
        for name, run in ENCODED.items():
            for key, value in encode(pipe, run["text"], run["compat"]).items():
                tensors[f"{family.name}/{name}/{key}"] = value
        for key, value in walk(pipe).items():
            tensors[f"{family.name}/walk/{key}"] = value
    write_case(output, case, tensors)
