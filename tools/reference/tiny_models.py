"""The three tiny model directories: Stable Diffusion 1, 2 and XL in small, with sizes that do not divide evenly."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tiny_tokenizer import CORPUS, END, MERGES, START, make_vocabulary, train_merges, write_tokenizer
from tiny_weights import fill, write_json, write_tensors

VAE_BLOCKS = 4
SCHEDULE = {"beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
            "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "trained_betas": None}
TEXT = {"num_hidden_layers": 4, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "projection_dim": 24}
UNET = {"act_fn": "silu", "center_input_sample": False, "downsample_padding": 1, "flip_sin_to_cos": True,
        "freq_shift": 0, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "mid_block_scale_factor": 1,
        "norm_eps": 1e-5, "norm_num_groups": 4, "sample_size": 8}
VAE = {"act_fn": "silu", "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1,
       "norm_num_groups": 4, "sample_size": 64, "block_out_channels": (4, 8, 8, 12),
       "down_block_types": ("DownEncoderBlock2D",) * VAE_BLOCKS, "up_block_types": ("UpDecoderBlock2D",) * VAE_BLOCKS}


@dataclass(frozen=True)
class Family:
    name: str
    pipeline: str
    seed: int
    max_length: int
    pad: str
    text: dict | None
    unet: dict
    vae: dict
    scheduler: dict
    text_2: dict | None = None
    half_unet: bool = False
    bare_text_names: bool = False
    unet_shard_size: str = "10GB"
    index_extra: dict = field(default_factory=dict)


SD1 = Family(
    name="sd1", pipeline="StableDiffusionPipeline", seed=11, max_length=13, pad=END,
    text={**TEXT, "hidden_size": 30, "intermediate_size": 50, "num_attention_heads": 5, "hidden_act": "quick_gelu"},
    unet={**UNET, "attention_head_dim": 4, "block_out_channels": (12, 20), "cross_attention_dim": 30,
          "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
          "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")},
    vae={**VAE, "scaling_factor": 0.18215},
    scheduler={**SCHEDULE, "_class_name": "PNDMScheduler", "skip_prk_steps": True},
)
SD2 = Family(
    name="sd2", pipeline="StableDiffusionPipeline", seed=22, max_length=77, pad="!",
    text={**TEXT, "hidden_size": 36, "intermediate_size": 44, "num_attention_heads": 3},
    unet={**UNET, "attention_head_dim": [4, 1, 5], "block_out_channels": (12, 12, 20), "cross_attention_dim": 36,
          "use_linear_projection": True, "upcast_attention": True,
          "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
          "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")},
    vae={**VAE, "scaling_factor": 0.18215, "block_out_channels": (8, 8, 12, 12)},
    scheduler={**SCHEDULE, "_class_name": "DDIMScheduler", "prediction_type": "v_prediction"},
    half_unet=True, bare_text_names=True,
)
SDXL = Family(
    name="sdxl", pipeline="StableDiffusionXLPipeline", seed=33, max_length=13, pad=END,
    text={**TEXT, "hidden_size": 20, "intermediate_size": 36, "num_attention_heads": 4, "hidden_act": "quick_gelu"},
    text_2={**TEXT, "hidden_size": 28, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 5},
    unet={**UNET, "attention_head_dim": [2, 4, 4], "block_out_channels": (8, 12, 20), "cross_attention_dim": 48,
          "use_linear_projection": True, "transformer_layers_per_block": [1, 1, 2], "addition_embed_type": "text_time",
          "addition_time_embed_dim": 6, "projection_class_embeddings_input_dim": 24 + 6 * 6,
          "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
          "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")},
    vae={**VAE, "scaling_factor": 0.13025, "force_upcast": True},
    scheduler={**SCHEDULE, "_class_name": "EulerDiscreteScheduler", "interpolation_type": "linear",
               "prediction_type": "epsilon", "sample_max_value": 1.0, "skip_prk_steps": True,
               "timestep_spacing": "leading", "use_karras_sigmas": False},
    unet_shard_size="200KB", index_extra={"force_zeros_for_empty_prompt": True},
)
REFINER = Family(
    name="refiner", pipeline="StableDiffusionXLImg2ImgPipeline", seed=44, max_length=13, pad=END, text=None,
    text_2=SDXL.text_2, vae=SDXL.vae, scheduler=SDXL.scheduler,
    unet={**UNET, "attention_head_dim": [2, 3, 5], "block_out_channels": (8, 12, 20), "cross_attention_dim": 28,
          "use_linear_projection": True, "transformer_layers_per_block": 2, "addition_embed_type": "text_time",
          "addition_time_embed_dim": 6, "projection_class_embeddings_input_dim": 24 + 5 * 6,
          "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
          "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")},
    index_extra={"force_zeros_for_empty_prompt": False, "requires_aesthetics_score": True},
)
FAMILIES = (SD1, SD2, SDXL)


def text_encoder_config(model: torch.nn.Module) -> dict:
    config = dict(model.config.to_diff_dict())
    config |= {"architectures": [type(model).__name__], "hidden_act": model.config.hidden_act, "layer_norm_eps": 1e-5,
               "pad_token_id": 1, "bos_token_id": model.config.bos_token_id,
               "projection_dim": model.config.projection_dim, "vocab_size": model.config.vocab_size}
    config.pop("transformers_version", None)
    return config


def hub_text_name(name: str) -> str:
    """Hub files call the weights text_model.*; CLIPTextModel of transformers 5 saves them without that prefix."""
    return name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}"


def _write_text_encoder(directory: Path, model: torch.nn.Module, bare: bool) -> None:
    tensors = {name if bare else hub_text_name(name): value for name, value in model.state_dict().items()}
    write_tensors(directory / "model.safetensors", tensors)
    write_json(directory / "config.json", text_encoder_config(model))


def _make_text_encoders(family: Family, directory: Path) -> None:
    merges = train_merges(CORPUS, MERGES)
    vocabulary = make_vocabulary(merges)
    common = {"vocab_size": len(vocabulary), "max_position_embeddings": family.max_length,
              "bos_token_id": vocabulary[START], "pad_token_id": 1}
    # eos_token_id 2 is what the published configs say: the pooled state is then at the largest id of the row.
    if family.text is not None:
        write_tokenizer(directory / "tokenizer", merges, vocabulary, family.max_length, family.pad)
        first = CLIPTextModel(CLIPTextConfig(**common, eos_token_id=2, **family.text))
        _write_text_encoder(directory / "text_encoder", fill(first, family.seed), family.bare_text_names)
    if family.text_2 is not None:
        write_tokenizer(directory / "tokenizer_2", merges, vocabulary, family.max_length, "!")
        config = CLIPTextConfig(**common, eos_token_id=vocabulary[END], **family.text_2)
        second = fill(CLIPTextModelWithProjection(config), family.seed + 1)
        _write_text_encoder(directory / "text_encoder_2", second, bare=False)


def write_index(family: Family, directory: Path) -> None:
    transformers_parts = {"text_encoder": "CLIPTextModel", "tokenizer": "CLIPTokenizer"}
    if family.text is None:
        transformers_parts = dict.fromkeys(transformers_parts)
    if family.text_2 is not None:
        transformers_parts |= {"text_encoder_2": "CLIPTextModelWithProjection", "tokenizer_2": "CLIPTokenizer"}
    index = {name: ["transformers" if kind else None, kind] for name, kind in transformers_parts.items()}
    index |= {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
              "scheduler": ["diffusers", family.scheduler["_class_name"]], "feature_extractor": [None, None],
              "_class_name": family.pipeline, "_diffusers_version": "0.42.1", **family.index_extra}
    if family.text_2 is None:
        index |= {"safety_checker": [None, None], "requires_safety_checker": False}
    write_json(directory / "model_index.json", index)


def make_model(family: Family, directory: Path) -> None:
    """Writes one complete model directory."""
    _make_text_encoders(family, directory)
    unet = fill(UNet2DConditionModel(**family.unet), family.seed + 2)
    if family.half_unet:
        unet = unet.half()
    unet.save_pretrained(directory / "unet", max_shard_size=family.unet_shard_size)
    fill(AutoencoderKL(**family.vae), family.seed + 3).save_pretrained(directory / "vae")
    write_json(directory / "scheduler" / "scheduler_config.json", {"_diffusers_version": "0.42.1", **family.scheduler})
    write_index(family, directory)
