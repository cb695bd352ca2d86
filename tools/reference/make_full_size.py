"""Writes a full-size model directory with random weights: the real configurations of Stable Diffusion 1.5 or XL.

The files are fp16 (sd15 about 2 GB, sdxl about 7 GB). Weights are drawn and written a shard at a time, so 4 GB of
memory are enough. The vocabulary is CLIP's own when open_clip_torch is installed (or named with --bpe), else one of
the same size that merges few words.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tiny_models import SCHEDULE, SD1, SDXL, Family, hub_text_name, text_encoder_config, write_index
from tiny_tokenizer import CORPUS, END, MERGES, START, make_vocabulary, train_merges, write_tokenizer
from tiny_weights import initial_value, write_json

VOCABULARY_SIZE = 49408
SHARD_BYTES = 2 * 10**9
TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
        "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "projection_dim": 768}
TEXT_2 = {**TEXT, "hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32,
          "hidden_act": "gelu", "projection_dim": 1280}
UNET = {"act_fn": "silu", "center_input_sample": False, "downsample_padding": 1, "flip_sin_to_cos": True,
        "freq_shift": 0, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
        "norm_eps": 1e-5, "norm_num_groups": 32}
SD15_UNET = {**UNET, "sample_size": 64, "attention_head_dim": 8, "block_out_channels": (320, 640, 1280, 1280),
             "cross_attention_dim": 768, "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
             "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3}
SDXL_UNET = {**UNET, "sample_size": 128, "attention_head_dim": [5, 10, 20], "block_out_channels": (320, 640, 1280),
             "cross_attention_dim": 2048, "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True,
             "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
             "projection_class_embeddings_input_dim": 2816,
             "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
             "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")}
VAE = {"act_fn": "silu", "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
       "up_block_types": ("UpDecoderBlock2D",) * 4, "in_channels": 3, "out_channels": 3, "latent_channels": 4,
       "layers_per_block": 2, "norm_num_groups": 32}

FAMILIES = {
    "sd15": Family(name="sd15", pipeline=SD1.pipeline, seed=15, max_length=77, pad=END, text=TEXT, unet=SD15_UNET,
                   vae={**VAE, "sample_size": 512, "scaling_factor": 0.18215},
                   scheduler={**SCHEDULE, "_class_name": "PNDMScheduler", "skip_prk_steps": True}),
    "sdxl": Family(name="sdxl", pipeline=SDXL.pipeline, seed=77, max_length=77, pad=END, text=TEXT, text_2=TEXT_2,
                   unet=SDXL_UNET, scheduler=SDXL.scheduler, index_extra=SDXL.index_extra,
                   vae={**VAE, "sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True}),
}


def find_bpe(given: Path | None) -> Path | None:
    """CLIP's list of merges, from the command line or the open_clip_torch package."""
    if given is not None:
        return given
    spec = importlib.util.find_spec("open_clip")
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / "bpe_simple_vocab_16e6.txt.gz" if folders else None
    return path if path is not None and path.exists() else None


def read_merges(bpe: Path | None) -> list[tuple[str, str]]:
    if bpe is None:
        return train_merges(CORPUS, MERGES)
    lines = gzip.decompress(bpe.read_bytes()).decode("utf-8").split("\n")
    merges = (line.split() for line in lines[1:VOCABULARY_SIZE - 2 * 256 - 2 + 1])
    return [(left, right) for left, right in merges]


def random_tensors(module: torch.nn.Module, seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    """fp16 weights for a module on the meta device, one at a time."""
    generator = torch.Generator("cpu").manual_seed(seed)
    owners = dict(module.named_modules())
    for dotted, parameter in sorted(module.named_parameters()):
        owner, _, name = dotted.rpartition(".")
        noise = torch.randn(parameter.shape, generator=generator)
        yield dotted, initial_value(owners[owner], name, noise).half()


def write_weights(directory: Path, stem: str, tensors: Iterator[tuple[str, torch.Tensor]], total_bytes: int) -> None:
    """One file when it fits a shard, else numbered shards and their index."""
    directory.mkdir(parents=True, exist_ok=True)
    shards = -(-total_bytes // SHARD_BYTES)
    places: dict[str, str] = {}
    pending: dict[str, torch.Tensor] = {}
    written = 0

    def flush() -> None:
        number = len(set(places.values())) + 1
        name = f"{stem}.safetensors" if shards == 1 else f"{stem}-{number:05d}-of-{shards:05d}.safetensors"
        save_file(pending, str(directory / name), metadata={"format": "pt"})
        places.update(dict.fromkeys(pending, name))
        pending.clear()

    for name, tensor in tensors:
        pending[name] = tensor
        written += tensor.nbytes
        if written >= total_bytes * (len(set(places.values())) + 1) / shards:
            flush()
    if shards > 1:
        index = {"metadata": {"total_size": total_bytes}, "weight_map": places}
        write_json(directory / f"{stem}.safetensors.index.json", index)


def _bytes_of(module: torch.nn.Module) -> int:
    return 2 * sum(parameter.numel() for parameter in module.parameters())


def make_text_encoder(directory: Path, kind: type, options: dict, markers: dict[str, int], seed: int) -> None:
    with torch.device("meta"):
        config = CLIPTextConfig(vocab_size=VOCABULARY_SIZE, max_position_embeddings=77, pad_token_id=1,
                                bos_token_id=markers[START], eos_token_id=2, **options)
        model = kind(config)
    tensors = ((hub_text_name(name), tensor) for name, tensor in random_tensors(model, seed))
    write_weights(directory, "model", tensors, _bytes_of(model))
    write_json(directory / "config.json", text_encoder_config(model))


def make_diffusers_part(directory: Path, kind: type, options: dict, seed: int) -> None:
    with torch.device("meta"):
        model = kind(**options)
    model.save_config(directory)
    write_weights(directory, "diffusion_pytorch_model", random_tensors(model, seed), _bytes_of(model))


def make_full_size(family: Family, directory: Path, bpe: Path | None) -> None:
    merges = read_merges(bpe)
    vocabulary = make_vocabulary(merges, VOCABULARY_SIZE)
    write_tokenizer(directory / "tokenizer", merges, vocabulary, family.max_length, family.pad)
    make_text_encoder(directory / "text_encoder", CLIPTextModel, family.text, vocabulary, family.seed)
    if family.text_2 is not None:
        write_tokenizer(directory / "tokenizer_2", merges, vocabulary, family.max_length, "!")
        make_text_encoder(directory / "text_encoder_2", CLIPTextModelWithProjection, family.text_2, vocabulary,
                          family.seed + 1)
    make_diffusers_part(directory / "unet", UNet2DConditionModel, family.unet, family.seed + 2)
    make_diffusers_part(directory / "vae", AutoencoderKL, family.vae, family.seed + 3)
    write_json(directory / "scheduler" / "scheduler_config.json", {"_diffusers_version": "0.42.1", **family.scheduler})
    write_index(family, directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=sorted(FAMILIES))
    parser.add_argument("output", type=Path)
    parser.add_argument("--bpe", type=Path, help="CLIP's bpe_simple_vocab_16e6.txt.gz")
    arguments = parser.parse_args()
    bpe = find_bpe(arguments.bpe)
    print(f"vocabulary: {bpe.name if bpe else 'a stand-in of the same size (open_clip_torch is not installed)'}")
    make_full_size(FAMILIES[arguments.family], arguments.output, bpe)


if __name__ == "__main__":
    main()
