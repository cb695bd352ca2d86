#!/usr/bin/env python3
"""Writes tests/cases/tokenizer: a small vocabulary in CLIP's format, strings, and the ids that transformers'
CLIPTokenizer gives them. Deterministic; run it again after a change of the reference.

    python tools/oracle/tokenizer_corpus.py [OUT]
"""
import collections, json, os, random, sys, unicodedata

MERGES = 3000
WORDS = """a the of in on with and photo photograph picture painting drawing sketch render illustration portrait
landscape close up wide angle view from above below left right red green blue yellow orange purple white black grey
golden silver bright dark small large tiny huge old new young happy sad cat dog horse bird fish fox wolf bear apple
banana cherry lemon tree forest river lake mountain sea ocean beach island desert city street house castle bridge
tower boat ship car train plane rocket robot knight wizard dragon princess king queen astronaut moon sun star galaxy
night day sunset sunrise morning evening fog rain snow storm cloud sky fire water earth wind highly detailed sharp
focus cinematic lighting studio light soft shadow reflection texture masterpiece best quality realistic abstract
watercolor oil acrylic pencil ink charcoal digital concept art style trending background foreground pattern vintage
modern futuristic medieval don't it's they're we've i'm you'll he'd""".split()
ODD = ["\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\t", "\n", "\r\n", "\x85", "\u180e", "\u1680", "\u2028",
       "\x00", "\x01", "\x1b", "\x7f", "\u200d", "\ufe0f", "\u0130", "I\u0307", "\u0131", "\u01c5", "\u01f2", "\u03a3",
       "\u039f\u03a3", "\u1e9e", "\u00df", "\ufb01", "\u212b", "\u2126", "\u0344", "e\u0301", "\u0301", "a\u0323\u0307",
       "q\u0307\u0323", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0958", "\u0663", "\u0967", "\u00b2", "\u00bd",
       "\u2163", "\u3007", "\u4e00", "\u732b", "\u306d\u3053", "\u304b\u3099", "\ue000", "\uffff", "\U0010ffff", "\U000f0000",
       "\u0378", "\U0001f34e", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f3f3\ufe0f\u200d\U0001f308",
       "\U0001f1eb\U0001f1f7", "\U0001f44d\U0001f3fd", "\u1c89", "\ua7cb", "\ua7dc", "\U00010d50", "\U00016ea0",
       "\U00011bc0", "\U000116d0", "\u07fd\u0334", "\U00011935\U00011930", "\U00011938", "a\u1dfa\u0300", "<|startoftext|>",
       "<|endoftext|>", "<|STARTOFTEXT|>", "<|EndOfText|>", "x<|endoftext|>y", "!<|STARTOFTEXT|>", "<|ENDOFTEXT|>", "<|",
       "|>", "</w>", "a</w>", "'s", "'T", "'re", "'VE", "'m", "'ll", "'D", "'", "''s", "!'s", "\u2019s", "1", "42", "3.14",
       "(word:1.3)", "[x]", "--", "...", "!!!", "#1", "@", "&amp;", "\\", "\"", "K\u212a"]


def byte_symbols():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(rest))], plain + rest


def train(words):
    """Byte-pair merges of the words, most frequent pair first, ties in text order."""
    symbols, order = byte_symbols()
    of_byte = dict(zip(order, symbols))
    counts = collections.Counter()
    for word in words:
        parts = [of_byte[b] for b in word.encode()]
        counts[tuple(parts[:-1] + [parts[-1] + "</w>"])] += 1
    lines = [[list(word), n] for word, n in sorted(counts.items())]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, (word, n) in enumerate(lines):
        for pair in zip(word, word[1:]):
            pairs[pair] += n
            where[pair].add(i)
    merges = []
    while len(merges) < MERGES and pairs:
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] <= 0:
            break
        merges.append(best)
        for i in sorted(where.pop(best)):
            word, n = lines[i]
            for pair in zip(word, word[1:]):
                pairs[pair] -= n
            out = []
            for symbol in word:
                if out and (out[-1], symbol) == best and not merged:
                    out[-1], merged = out[-1] + symbol, True
                else:
                    out.append(symbol)
                    merged = False
            lines[i][0] = out
            for pair in zip(out, out[1:]):
                pairs[pair] += n
                where[pair].add(i)
        del pairs[best]
    return symbols, merges


def text_to_train_on(draw):
    names = []
    for c in range(0x20, 0x20000):
        names += unicodedata.name(chr(c), "").lower().replace("-", " ").split()
    return names[::7] + WORDS * 60 + [chr(draw.randrange(0xA1, 0x3000)) for _ in range(4000)]


def strings(draw):
    names = [unicodedata.name(chr(c), "") for c in range(0x20, 0x1FB00)]
    names = [n for n in names if n]
    out = ["", " ", "  \t\n "] + ODD + [f"a{o}b" for o in ODD] + [f"A photo {o} {o}{o}" for o in ODD]
    out += [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(500)]
    out += [draw.choice(names).title() for _ in range(250)]
    while len(out) < 2100:
        parts = []
        for _ in range(draw.randint(1, 8)):
            kind = draw.random()
            if kind < 0.3:
                parts.append(draw.choice(ODD))
            elif kind < 0.6:
                word = draw.choice(WORDS)
                parts.append(draw.choice([word, word.upper(), word.title()]))
            elif kind < 0.8:
                parts.append("".join(chr(draw.randrange(0xA1, 0x250)) for _ in range(3)))
            else:
                c = draw.randrange(0x110000)
                parts.append(chr(c if not 0xD800 <= c < 0xE000 else 0x41))
        out.append(draw.choice(["", " ", " "]).join(parts))
    out += ["a" * 1000, "ab" * 500, "photo " * 200, "\u0301\u0323" * 500, "'s" * 500, "\U0001f34e" * 250]
    out += ["".join(draw.choices("abcdef '1!", k=1000)) for _ in range(10)]
    return out


def write_directory(out, symbols, merges):
    os.makedirs(out, exist_ok=True)
    tokens = symbols + [s + "</w>" for s in symbols] + [a + b for a, b in merges]
    tokens = list(dict.fromkeys(tokens)) + ["<|startoftext|>", "<|endoftext|>"]
    dump = lambda value, name, **how: open(f"{out}/{name}", "w").write(json.dumps(value, **how) + "\n")
    dump({t: i for i, t in enumerate(tokens)}, "vocab.json", ensure_ascii=False, separators=(",", ":"))
    with open(f"{out}/merges.txt", "w") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    # As Stable Diffusion 1's tokenizer directory has them.
    token = lambda text: dict(content=text, lstrip=False, normalized=True, rstrip=False, single_word=False)
    begin, end = token("<|startoftext|>"), token("<|endoftext|>")
    typed = lambda t: dict(t, __type="AddedToken")
    dump(dict(add_prefix_space=False, bos_token=typed(begin), do_lower_case=True, eos_token=typed(end), errors="replace",
              model_max_length=77, pad_token="<|endoftext|>", tokenizer_class="CLIPTokenizer", unk_token=typed(end)),
         "tokenizer_config.json", indent=2)
    dump(dict(bos_token=begin, eos_token=end, pad_token="<|endoftext|>", unk_token=end), "special_tokens_map.json", indent=2)


def main():
    from transformers import CLIPTokenizer
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../tests/cases/tokenizer")
    draw = random.Random(20)
    symbols, merges = train(text_to_train_on(draw))
    write_directory(f"{out}/directory", symbols, merges)
    tokenizer = CLIPTokenizer.from_pretrained(f"{out}/directory")
    with open(f"{out}/corpus.jsonl", "w") as file:
        for text in strings(draw):
            ids = tokenizer.encode(text, add_special_tokens=False)
            file.write(json.dumps({"text": text, "ids": ids}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
