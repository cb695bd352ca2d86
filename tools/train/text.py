"""Stage 2: the byte-pair vocabulary, and the text encoder trained alone to foretell latents from captions."""

import json
import re
from collections import Counter

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import data
import parallel

LENGTH = 20
WIDTH = 192
MERGES = 2600
START, END = "<|startoftext|>", "<|endoftext|>"
WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")
# The text's meaning is read from the last positions: attention is causal, so only they have seen all of it.
READ = 4


def byte_symbols():
    """CLIP's printable stand-ins for the 256 bytes, in the order of its vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    symbols = {byte: chr(byte) for byte in printable}
    for extra, byte in enumerate(b for b in range(256) if b not in symbols):
        symbols[byte] = chr(256 + extra)
    return symbols


def word_counts(entries):
    """The words of the captions, weighted so that whole names become single entries first."""
    counts = Counter()
    for names, keywords in zip((names for _, names in entries), data.load_keywords(entries)):
        for text in names:
            counts.update({word: 20 for word in WORD.findall(text.lower())})
        for text in keywords:
            counts.update({word: 2 for word in WORD.findall(text.lower())})
    frequent = "a an the on picture photo drawing of background " + " ".join(data.BACKGROUNDS) + " gray light violet"
    counts.update({word: 10000 for word in frequent.split()})
    return counts


def learn_merges(counts):
    symbols = byte_symbols()
    words = [[*(symbols[b] for b in word.encode()[:-1]), symbols[word.encode()[-1]] + "</w>"] for word in counts]
    weights = list(counts.values())
    merges = []
    while len(merges) < MERGES:
        pairs = Counter()
        for word, weight in zip(words, weights):
            for pair in zip(word, word[1:]):
                pairs[pair] += weight
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i:i + 2] = [word[i] + word[i + 1]]
                i += 1
    return merges


def write_tokenizer(entries, folder):
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(word_counts(entries))
    symbols = list(byte_symbols().values())
    vocabulary = symbols + [s + "</w>" for s in symbols] + ["".join(pair) for pair in merges] + [START, END]
    vocabulary = list(dict.fromkeys(vocabulary))
    (folder / "vocab.json").write_text(
        json.dumps({token: i for i, token in enumerate(vocabulary)}, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True,
         "add_prefix_space": False, "errors": "replace", **special}, indent=2) + "\n")


def tokenize(tokenizer, texts):
    return tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids


def make_encoder(tokenizer):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2,
        num_attention_heads=6, max_position_embeddings=LENGTH, projection_dim=WIDTH, hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, attention_dropout=0.0))


def is_matrix(name, parameter):
    return parameter.ndim == 2 and "embedding" not in name and "head" not in name


class Reader(nn.Module):
    """The encoder with a throw-away head that foretells the latents, the picture's number and the background's."""

    def __init__(self, tokenizer, pictures):
        super().__init__()
        self.encoder = make_encoder(tokenizer)
        for embedding in (m for m in self.encoder.modules() if isinstance(m, nn.Embedding)):
            nn.init.normal_(embedding.weight, std=0.1)
        self.sizes = [1024, pictures, len(data.BACKGROUNDS)]
        self.head = nn.Linear(READ * WIDTH, sum(self.sizes))

    def forward(self, ids):
        hidden = self.encoder(ids).last_hidden_state
        return self.head(hidden[:, -READ:].flatten(1)).float().split(self.sizes, dim=1)


class Job:
    name = "text"
    rate, warm_up, flat = 2e-3, 50, 0.4
    average_decay = 0.99
    save_every = 60
    batch = 64

    def __init__(self, work, seconds):
        self.work, self.checkpoint, self.seconds = work, work / "text.pt", seconds

    def is_matrix(self, name, parameter):
        return is_matrix(name, parameter)

    def start(self, rank, step):
        self.tokenizer = CLIPTokenizer.from_pretrained(self.work / "tokenizer")
        self.captions = data.Captions(data.load_names(), seed=10 * step + rank)
        self.latents = torch.load(self.work / "latents.pt")
        self.right = []

    def note(self):
        text = f"right pictures {sum(self.right) / len(self.right):.3f}"
        self.right.clear()
        return text

    def loss(self, model, progress):
        pairs, texts = self.captions.batch(self.batch)
        pictures, backgrounds = torch.tensor(pairs).T
        ids = tokenize(self.tokenizer, texts)
        with torch.autocast("cpu", torch.bfloat16):
            latents, picture, background = model(ids)
        self.right.append(float((picture.argmax(1) == pictures).float().mean()))
        return (functional.mse_loss(latents, self.latents[pictures, backgrounds].flatten(1))
                + 0.2 * functional.cross_entropy(picture, pictures)
                + 0.2 * functional.cross_entropy(background, backgrounds))


def train(entries, work, seconds):
    if not (work / "tokenizer/merges.txt").exists():
        write_tokenizer(entries, work / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    torch.manual_seed(2)
    reader, average = Reader(tokenizer, len(entries)), Reader(tokenizer, len(entries))
    return parallel.train(Job(work, seconds), reader, average).encoder
