"""Writes a full-size model with random weights: a directory in diffusers layout, or one file in original naming.

A PATH that ends in .safetensors is written as one file. Both hold the same model, which the seed decides. Weights are
drawn and written one after the other, so 1 GB of memory is enough. The vocabulary is CLIP's own when it is in
.deps/clip or open_clip_torch is installed (or named with --bpe), else one of the same size that merges few words.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import original_names
from full_size import ARCHITECTURES
from tiny_models import Family, hub_text_name, text_encoder_config, write_index
from tiny_tokenizer import CORPUS, END, MERGES, START, make_vocabulary, train_merges, write_tokenizer
from tiny_weights import initial_value, write_json

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY_SIZE = 49408
DTYPES = {"fp16": (torch.float16, "F16"), "fp32": (torch.float32, "F32"), "bf16": (torch.bfloat16, "BF16")}

Tensors = dict[str, torch.Tensor]
Groups = Iterator[Tensors]


def find_bpe(given: Path | None) -> Path | None:
    """CLIP's list of merges, from the command line, the open_clip_torch package or what tools/setup keeps."""
    if given is not None:
        return given
    spec = importlib.util.find_spec("open_clip")
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / "bpe_simple_vocab_16e6.txt.gz" if folders else ROOT / ".deps/clip/merges.txt"
    return path if path.exists() else None


def read_merges(bpe: Path | None) -> list[tuple[str, str]]:
    if bpe is None:
        return train_merges(CORPUS, MERGES)
    data = bpe.read_bytes()
    lines = (gzip.decompress(data) if bpe.suffix == ".gz" else data).decode("utf-8").split("\n")
    merges = (line.split() for line in lines[1:VOCABULARY_SIZE - 2 * 256 - 2 + 1])
    return [(left, right) for left, right in merges]


def random_tensors(module: torch.nn.Module, seed: int, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights for a module on the meta device, one at a time."""
    generator = torch.Generator("cpu").manual_seed(seed)
    owners = dict(module.named_modules())
    for dotted, parameter in sorted(module.named_parameters()):
        owner, _, name = dotted.rpartition(".")
        noise = torch.randn(parameter.shape, generator=generator)
        yield dotted, initial_value(owners[owner], name, noise).to(dtype)


class StreamedFile:
    """A safetensors file whose tensors are known by shape first, and come in any order."""

    def __init__(self, path: Path, shapes: Tensors, stored: str, item: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.places, end = {}, 0
        header: dict = {"__metadata__": {"format": "pt"}}
        for name, tensor in sorted(shapes.items()):
            begin, end = end, end + item * tensor.numel()
            self.places[name] = begin
            header[name] = {"dtype": stored, "shape": list(tensor.shape), "data_offsets": [begin, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self.start = 8 + len(text)
        self.file = path.open("wb")
        self.file.write(len(text).to_bytes(8, "little") + text)

    def write(self, tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            self.file.seek(self.start + self.places.pop(name))
            self.file.write(memoryview(tensor.contiguous().view(torch.uint8).numpy()).cast("B"))

    def close(self) -> None:
        self.file.close()
        if self.places:
            raise ValueError(f"{self.file.name} lacks {next(iter(self.places))}")


class Component:
    """A network of the model: its module without weights, and how it is called in one file."""

    def __init__(self, name: str, module: torch.nn.Module, seed: int, original) -> None:
        self.name, self.module, self.seed, self.original = name, module, seed, original

    def shapes(self) -> Tensors:
        return dict(self.module.named_parameters())

    def tensors(self, dtype: torch.dtype) -> Groups:
        """What original names need together (queries, keys and values of a layer) comes together."""
        layer = re.compile(r".*layers\.\d+\.self_attn\.")
        drawn = random_tensors(self.module, self.seed, dtype)
        for _, group in groupby(drawn, lambda pair: found.group() if (found := layer.match(pair[0])) else pair[0]):
            yield dict(group)


def components(family: Family, markers: dict[str, int]) -> list[Component]:
    def text(kind: type, options: dict) -> torch.nn.Module:
        return kind(CLIPTextConfig(vocab_size=VOCABULARY_SIZE, max_position_embeddings=77, pad_token_id=1,
                                   bos_token_id=markers[START], eos_token_id=2, **options))

    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**family.unet), AutoencoderKL(**family.vae)
        first = text(CLIPTextModel, family.text) if family.text else None
        second = text(CLIPTextModelWithProjection, family.text_2) if family.text_2 else None
    open_clip = family.pad == "!"
    prefix = ("conditioner.embedders.0.transformer." if second is not None
              else "cond_stage_model.model." if open_clip else "cond_stage_model.transformer.")
    text_names = original_names.open_clip_text if open_clip else original_names.clip_text
    parts = []
    if first is not None:
        parts.append(Component("text_encoder", first, family.seed, lambda tensors: text_names(tensors, prefix)))
    if second is not None:
        place = f"conditioner.embedders.{len(parts)}.model."
        parts.append(Component("text_encoder_2", second, family.seed + 1,
                               lambda tensors: original_names.open_clip_text(tensors, place)))
    layers, up = family.unet["layers_per_block"], family.unet["up_block_types"]
    levels = len(family.vae["block_out_channels"])
    parts.append(Component("unet", unet, family.seed + 2, lambda tensors: original_names.unet(tensors, layers, up)))
    parts.append(Component("vae", vae, family.seed + 3, lambda tensors: original_names.vae(tensors, levels)))
    return parts


def write_file(parts: list[Component], path: Path, dtype: torch.dtype, stored: str) -> None:
    shapes: Tensors = {}
    for part in parts:
        shapes |= part.original(part.shapes())
    file = StreamedFile(path, shapes, stored, dtype.itemsize)
    for part in parts:
        for group in part.tensors(dtype):
            file.write(part.original(group))
    file.close()


def write_directory(family: Family, parts: list[Component], directory: Path, dtype: torch.dtype, stored: str) -> None:
    for part in parts:
        is_text = part.name.startswith("text_encoder")
        rename = hub_text_name if is_text else str
        stem = "model" if is_text else "diffusion_pytorch_model"
        shapes = {rename(name): tensor for name, tensor in part.shapes().items()}
        file = StreamedFile(directory / part.name / f"{stem}.safetensors", shapes, stored, dtype.itemsize)
        for group in part.tensors(dtype):
            file.write({rename(name): tensor for name, tensor in group.items()})
        file.close()
        if is_text:
            write_json(directory / part.name / "config.json", text_encoder_config(part.module))
        else:
            part.module.save_config(directory / part.name)
    write_json(directory / "scheduler" / "scheduler_config.json", {"_diffusers_version": "0.42.1", **family.scheduler})
    write_index(family, directory)


def write_tokenizers(family: Family, directory: Path, bpe: Path | None) -> None:
    merges = read_merges(bpe)
    vocabulary = make_vocabulary(merges, VOCABULARY_SIZE)
    if family.text is not None:
        write_tokenizer(directory / "tokenizer", merges, vocabulary, family.max_length, family.pad)
    if family.text_2 is not None:
        write_tokenizer(directory / "tokenizer_2", merges, vocabulary, family.max_length, "!")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools/make_random_model", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arch", choices=list(ARCHITECTURES))
    parser.add_argument("path", type=Path)
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp16", help="that weights are stored as (fp16)")
    parser.add_argument("--seed", type=int, help="the architecture's own when not given")
    parser.add_argument("--bpe", type=Path, help="CLIP's bpe_simple_vocab_16e6.txt.gz, or merges.txt")
    arguments = parser.parse_args()
    if arguments.path.exists():
        parser.error(f"{arguments.path} is there already")
    family = ARCHITECTURES[arguments.arch]
    if arguments.seed is not None:
        family = replace(family, seed=arguments.seed)
    dtype, stored = DTYPES[arguments.dtype]
    parts = components(family, {START: VOCABULARY_SIZE - 2, END: VOCABULARY_SIZE - 1})
    size = math.fsum(dtype.itemsize * tensor.numel() for part in parts for tensor in part.shapes().values())
    print(f"{arguments.arch}: {size / 1e9:.2f} GB in {arguments.dtype}", flush=True)
    partial = arguments.path.with_name(arguments.path.name + ".partial")
    if arguments.path.suffix == ".safetensors":
        write_file(parts, partial, dtype, stored)
    else:
        if partial.exists():
            shutil.rmtree(partial)
        write_tokenizers(family, partial, find_bpe(arguments.bpe))
        write_directory(family, parts, partial, dtype, stored)
    partial.rename(arguments.path)


if __name__ == "__main__":
    main()
