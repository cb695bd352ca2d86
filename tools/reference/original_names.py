"""From diffusers' names to those of one-file checkpoints (latent-diffusion's, generative-models' and OpenCLIP's).

The way back is diffusers' own: single_file_cases.py checks that its from_single_file finds every tensor again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

Tensors = dict[str, torch.Tensor]

UNET_OUTER = {"conv_in.": "input_blocks.0.0.", "conv_norm_out.": "out.0.", "conv_out.": "out.2.",
              "time_embedding.linear_1.": "time_embed.0.", "time_embedding.linear_2.": "time_embed.2.",
              "add_embedding.linear_1.": "label_emb.0.0.", "add_embedding.linear_2.": "label_emb.0.2."}
UNET_RESNET = {"norm1.": "in_layers.0.", "conv1.": "in_layers.2.", "time_emb_proj.": "emb_layers.1.",
               "norm2.": "out_layers.0.", "conv2.": "out_layers.3.", "conv_shortcut.": "skip_connection."}
VAE_OUTER = {"conv_norm_out.": "norm_out.",
             "mid_block.resnets.0.": "mid.block_1.", "mid_block.resnets.1.": "mid.block_2.",
             "mid_block.attentions.0.group_norm.": "mid.attn_1.norm.", "mid_block.attentions.0.to_q.": "mid.attn_1.q.",
             "mid_block.attentions.0.to_k.": "mid.attn_1.k.", "mid_block.attentions.0.to_v.": "mid.attn_1.v.",
             "mid_block.attentions.0.to_out.0.": "mid.attn_1.proj_out."}
TEXT_LAYER = {"layer_norm1.": "ln_1.", "layer_norm2.": "ln_2.", "mlp.fc1.": "mlp.c_fc.", "mlp.fc2.": "mlp.c_proj.",
              "self_attn.out_proj.": "attn.out_proj."}
TEXT_OUTER = {"embeddings.position_embedding.weight": "positional_embedding",
              "embeddings.token_embedding.": "token_embedding.", "final_layer_norm.": "ln_final."}


def _swap(name: str, table: dict[str, str]) -> str:
    for ours, original in table.items():
        if name.startswith(ours):
            return original + name.removeprefix(ours)
    return name


@dataclass(frozen=True)
class UNetNames:
    """The numbering of a UNet's blocks: `layers` residual blocks a level, `attention` where the way up has it."""

    layers: int
    up_attention: list[bool]

    def original(self, name: str) -> str:
        match = re.fullmatch(r"(down|mid|up)_blocks?\.(?:(\d+)\.)?(\w+)\.(\d+)\.(.*)", name)
        if match is None:
            return _swap(name, UNET_OUTER)
        path, level, module, layer, rest = match.groups()
        if path == "mid":
            number = 2 * int(layer) + (module == "attentions")
            return f"middle_block.{number}.{_swap(rest, UNET_RESNET) if module == 'resnets' else rest}"
        first = int(level) * (self.layers + 1) + (path == "down")
        blocks = "input_blocks" if path == "down" else "output_blocks"
        if module == "downsamplers":
            return f"{blocks}.{first + self.layers}.0.op.{rest.removeprefix('conv.')}"
        if module == "upsamplers":
            return f"{blocks}.{first + self.layers}.{1 + self.up_attention[int(level)]}.{rest}"
        if module == "attentions":
            return f"{blocks}.{first + int(layer)}.1.{rest}"
        return f"{blocks}.{first + int(layer)}.0.{_swap(rest, UNET_RESNET)}"


def unet(tensors: Tensors, layers: int, up_block_types: tuple[str, ...]) -> Tensors:
    names = UNetNames(layers, [kind.startswith("CrossAttn") for kind in up_block_types])
    return {f"model.diffusion_model.{names.original(name)}": value for name, value in tensors.items()}


def _vae_name(name: str, levels: int) -> str:
    half, dot, rest = name.partition(".")
    if half not in ("encoder", "decoder"):
        return name
    match = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", rest)
    if match is None:
        return half + dot + _swap(rest, VAE_OUTER)
    path, level, module, layer, rest = match.groups()
    number = int(level) if path == "down" else levels - 1 - int(level)
    if module == "resnets":
        return f"{half}.{path}.{number}.block.{layer}.{rest.replace('conv_shortcut', 'nin_shortcut')}"
    return f"{half}.{path}.{number}.{module.removesuffix('rs')}.{rest}"


def vae(tensors: Tensors, levels: int, prefix: str = "first_stage_model.") -> Tensors:
    original = {}
    for name, value in tensors.items():
        if re.search(r"attentions\.0\.to_(q|k|v|out\.0)\.weight", name):
            value = value[:, :, None, None]
        original[prefix + _vae_name(name, levels)] = value
    return original


def clip_text(tensors: Tensors, prefix: str) -> Tensors:
    """transformers' names are the original ones; its version 5 leaves the tower's own out."""
    return {f"{prefix}text_model.{name.removeprefix('text_model.')}": value for name, value in tensors.items()}


def open_clip_text(tensors: Tensors, prefix: str) -> Tensors:
    original: Tensors = {}
    for name, value in tensors.items():
        if name == "text_projection.weight":
            original[prefix + "text_projection"] = value.T
            continue
        name = name.removeprefix("text_model.")
        match = re.fullmatch(r"encoder\.layers\.(\d+)\.(.*)", name)
        if match is None:
            original[prefix + _swap(name, TEXT_OUTER)] = value
            continue
        layer = f"{prefix}transformer.resblocks.{match[1]}."
        fused = re.fullmatch(r"self_attn\.([qkv])_proj\.(weight|bias)", match[2])
        if fused is None:
            original[layer + _swap(match[2], TEXT_LAYER)] = value
        elif fused[1] == "q":
            parts = [tensors[key] for key in _thirds(tensors, match[1], fused[2])]
            original[f"{layer}attn.in_proj_{fused[2]}"] = torch.cat(parts)
    return original


def _thirds(tensors: Tensors, layer: str, kind: str) -> list[str]:
    ends = [f"encoder.layers.{layer}.self_attn.{part}_proj.{kind}" for part in "qkv"]
    return [next(name for name in tensors if name.endswith(end)) for end in ends]
