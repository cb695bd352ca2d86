"""UNets and autoencoders with the options the three families do not show: one part and one input-output pair each."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel

from pipeline_cases import vae_case
from tiny_models import UNET
from tiny_models import VAE as FAMILY_VAE
from tiny_weights import fill, write_case

CROSS_DOWN, PLAIN_DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
CROSS_UP, PLAIN_UP = "CrossAttnUpBlock2D", "UpBlock2D"
SMALL = {**UNET, "attention_head_dim": 2, "block_out_channels": (4, 8), "cross_attention_dim": 10,
         "norm_num_groups": 2, "down_block_types": (CROSS_DOWN, PLAIN_DOWN), "up_block_types": (PLAIN_UP, CROSS_UP)}
THREE = {"block_out_channels": (4, 4, 8), "down_block_types": (CROSS_DOWN, CROSS_DOWN, PLAIN_DOWN),
         "up_block_types": (PLAIN_UP, CROSS_UP, CROSS_UP)}
UNETS = {
    "unet_9_channels": {"in_channels": 9},
    "unet_8_channels": {"in_channels": 8},
    "unet_16_channels": {"in_channels": 16, "out_channels": 16},
    "unet_layers_list": {**THREE, "layers_per_block": [1, 2, 1]},
    "unet_single_block": {"block_out_channels": (4,), "down_block_types": (CROSS_DOWN,), "up_block_types": (CROSS_UP,)},
    "unet_single_plain_block": {"block_out_channels": (4,), "down_block_types": (PLAIN_DOWN,),
                                "up_block_types": (PLAIN_UP,)},
    "unet_all_cross": {"down_block_types": (CROSS_DOWN,) * 2, "up_block_types": (CROSS_UP,) * 2},
    "unet_only_cross_attention": {"only_cross_attention": True},
    "unet_cross_dim_list": {"cross_attention_dim": [10, 10]},
    "unet_depth_list": {"down_block_types": (PLAIN_DOWN, CROSS_DOWN), "up_block_types": (CROSS_UP, PLAIN_UP),
                        "transformer_layers_per_block": [1, 3], "use_linear_projection": True},
    "unet_downsample_padding": {"downsample_padding": 0},
    "unet_norm_eps": {"norm_eps": 1e-3},
    "unet_flip_and_shift": {"flip_sin_to_cos": False, "freq_shift": 1},
    "unet_mid_scale": {"mid_block_scale_factor": 1.5},
    # The distilled models: SSD-1B and Segmind-Vega have fewer transformers, others on the way up, and a middle of one
    # residual block; small-SD and tiny-SD fewer residual blocks, tiny-SD no middle.
    "unet_asymmetrical": {**THREE, "down_block_types": (PLAIN_DOWN, CROSS_DOWN, CROSS_DOWN),
                          "up_block_types": (CROSS_UP, CROSS_UP, PLAIN_UP), "layers_per_block": 2,
                          "transformer_layers_per_block": [0, [2, 2], [1, 3]],
                          "reverse_transformer_layers_per_block": [[1, 1, 2], [2, 1, 1], 1],
                          "mid_block_type": "UNetMidBlock2D", "use_linear_projection": True},
    "unet_asymmetrical_middle": {"transformer_layers_per_block": [[1], [2]], "use_linear_projection": True,
                                 "reverse_transformer_layers_per_block": [[1, 1], [2, 1]],
                                 "attention_head_dim": [1, 2]},
    "unet_one_middle_block": {"mid_block_type": "UNetMidBlock2D", "transformer_layers_per_block": [2, 1]},
    "unet_no_middle": {"mid_block_type": None, "layers_per_block": 1, "down_block_types": (CROSS_DOWN,) * 2,
                       "up_block_types": (CROSS_UP,) * 2},
}
ODD_SIZES = ((9, 7), (5, 10))

VAE = {**FAMILY_VAE, "block_out_channels": (4, 8), "norm_num_groups": 2, "scaling_factor": 0.5}


def _stages(count: int) -> dict[str, tuple[str, ...]]:
    return {"down_block_types": ("DownEncoderBlock2D",) * count, "up_block_types": ("UpDecoderBlock2D",) * count}


VAES = {
    "vae_16_channels_factor_16": {**_stages(5), "block_out_channels": (4, 4, 4, 8, 8), "latent_channels": 16,
                                  "mid_block_add_attention": False},
    "vae_no_quant_convs": {**_stages(2), "use_quant_conv": False, "use_post_quant_conv": False},
    "vae_shift_factor": {**_stages(2), "shift_factor": 0.1159, "scaling_factor": 0.3611},
    "vae_two_layers": {**_stages(2), "layers_per_block": 2},
    "vae_single_block": {**_stages(1), "block_out_channels": (6,)},
    "vae_tiled": {**_stages(3), "block_out_channels": (4, 4, 8), "sample_size": 32},
}
VAE_SIZES = {"vae_16_channels_factor_16": (48, 32, (3, 2)), "vae_single_block": (13, 11, (7, 5))}
TINY_VAES = {
    "vae_tiny": {"encoder_block_out_channels": (4,) * 4, "decoder_block_out_channels": (4,) * 4,
                 "num_encoder_blocks": (1, 2, 1, 1), "num_decoder_blocks": (2, 1, 1, 1)},
    "vae_tiny_16_channels": {"encoder_block_out_channels": (6,) * 3, "decoder_block_out_channels": (6,) * 3,
                             "num_encoder_blocks": (1, 1, 2), "num_decoder_blocks": (1, 2, 1), "latent_channels": 16,
                             "scaling_factor": 0.5, "shift_factor": 0.25},
}
TILES = {"tile_sample_min_size": 32, "tile_latent_min_size": 8, "tile_overlap_factor": 0.25}


@torch.no_grad()
def unet_variant(unet: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator("cpu").manual_seed(seed)
    tensors = {"timesteps": torch.tensor([741, 3])}
    width = unet.config.cross_attention_dim
    width = width[0] if isinstance(width, (list, tuple)) else width
    tensors["context"] = torch.randn((2, 5, width), generator=generator)
    for height, columns in ODD_SIZES:
        name = f"{height}x{columns}"
        tensors[f"sample_{name}"] = torch.randn((2, unet.config.in_channels, height, columns), generator=generator)
        output = unet(tensors[f"sample_{name}"], tensors["timesteps"], tensors["context"])
        tensors[f"output_{name}"] = output.sample
    return tensors


@torch.no_grad()
def vae_variant(vae: torch.nn.Module, name: str, seed: int) -> dict[str, torch.Tensor]:
    tensors = vae_case(vae, seed, *VAE_SIZES.get(name, (27, 21, (7, 5))))
    generator = torch.Generator("cpu").manual_seed(seed + 1)
    if vae.config.shift_factor:
        tensors["latents"] = (tensors["mean"] - vae.config.shift_factor) * vae.config.scaling_factor
    if name == "vae_tiled":
        vae.enable_tiling()
        for key, value in TILES.items():
            setattr(vae, key, value)
        tensors["tiled_z"] = torch.randn((1, 4, 19, 13), generator=generator)
        tensors["tiled_decoded"] = vae.decode(tensors["tiled_z"]).sample
        tensors["tiled_picture"] = torch.rand((1, 3, 76, 52), generator=generator) * 2 - 1
        tensors["tiled_moments"] = vae.encode(tensors["tiled_picture"]).latent_dist.parameters
    return tensors


@torch.no_grad()
def tiny_vae_variant(vae: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator("cpu").manual_seed(seed)
    picture = torch.rand((2, 3, 40, 24), generator=generator) * 2 - 1
    z = 2 * torch.randn((2, vae.config.latent_channels, 5, 7), generator=generator)  # some beyond what it bends back
    mean = vae.encode(picture).latents
    return {"picture": picture, "mean": mean, "z": z, "decoded": vae.decode(z).sample,
            "latents": (mean - vae.config.shift_factor) * vae.config.scaling_factor}


def _saved(model: torch.nn.Module, directory: Path) -> torch.nn.Module:
    """Half precision in the file to keep it small; the tensors come from those rounded weights, widened."""
    model.half().save_pretrained(directory)
    return model.float()


def make_variants(output: Path) -> None:
    for index, (name, changes) in enumerate(UNETS.items()):
        unet = _saved(fill(UNet2DConditionModel(**{**SMALL, **changes}), 500 + index), output / name)
        write_case(output / name, {"kind": "unet"}, unet_variant(unet, 600 + index))
    for index, (name, changes) in enumerate(VAES.items()):
        vae = _saved(fill(AutoencoderKL(**{**VAE, **changes}), 700 + index), output / name)
        case = {"kind": "vae"} | (TILES if name == "vae_tiled" else {})
        write_case(output / name, case, vae_variant(vae, name, 800 + index))
    for index, (name, changes) in enumerate(TINY_VAES.items()):
        vae = _saved(fill(AutoencoderTiny(**changes), 720 + index), output / name)
        write_case(output / name, {"kind": "vae"}, tiny_vae_variant(vae, 820 + index))
