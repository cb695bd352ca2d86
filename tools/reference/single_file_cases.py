"""Checkpoints of one file, as diffusers' from_single_file reads them: names, digests and configurations.

The tensors are filled by a rule that C++ repeats (value_at), so that only names, shapes and digests are kept. What a
file becomes is not our word but diffusers': its single-file loaders convert it, and the digests are of their tensors.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import full_size
import original_names
from tiny_models import SD1, SD2, SDXL, hub_text_name, text_encoder_config

VOCABULARY = 49408
DIGEST = 12  # hexadecimal digits
TEXT = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 1,
        "layer_norm_eps": 1e-5, "vocab_size": VOCABULARY, "max_position_embeddings": 77, "bos_token_id": 49406,
        "eos_token_id": 2, "pad_token_id": 1}
UNET = {"layers_per_block": 2, "sample_size": 64, "in_channels": 4, "out_channels": 4}
CROSS_DOWN, DOWN, CROSS_UP, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"
FOUR = {"down_block_types": (CROSS_DOWN,) * 3 + (DOWN,), "up_block_types": (UP,) + (CROSS_UP,) * 3}
VAE = {"block_out_channels": (32, 32, 64, 64), "down_block_types": ("DownEncoderBlock2D",) * 4,
       "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "latent_channels": 4}
SCHEDULE_LEFTOVERS = {"betas": (1000,), "alphas_cumprod": (1000,), "sqrt_recipm1_alphas_cumprod": (1000,),
                      "posterior_mean_coef1": (1000,), "logvar": (1000,)}


@dataclass(frozen=True)
class Family:
    name: str
    unet: dict
    vae: dict
    texts: tuple[tuple[str, type, dict, str], ...]  # component, class, options, prefix in the file
    scheduler: dict
    stored: str = "F32"


FAMILIES = (
    Family("sd1", {**UNET, **FOUR, "attention_head_dim": 8, "block_out_channels": (32, 32, 64, 64),
                   "cross_attention_dim": 64},
           {**VAE, "sample_size": 512, "scaling_factor": 0.18215},
           (("text_encoder", CLIPTextModel, {**TEXT, "hidden_act": "quick_gelu"}, "cond_stage_model.transformer."),),
           SD1.scheduler, "F16"),
    Family("sd2", {**UNET, **FOUR, "attention_head_dim": [1, 1, 2, 2], "block_out_channels": (64, 64, 128, 128),
                   "cross_attention_dim": 64, "use_linear_projection": True, "sample_size": 96},
           {**VAE, "sample_size": 768, "scaling_factor": 0.18215},
           (("text_encoder", CLIPTextModel, {**TEXT, "hidden_act": "gelu", "num_hidden_layers": 23},
             "cond_stage_model.model."),),
           SD2.scheduler),
    Family("sdxl", {**UNET, "attention_head_dim": [1, 2, 2], "block_out_channels": (64, 128, 128),
                    "cross_attention_dim": 64 + 80, "use_linear_projection": True, "sample_size": 128,
                    "transformer_layers_per_block": [1, 2, 3], "addition_embed_type": "text_time",
                    "addition_time_embed_dim": 16, "projection_class_embeddings_input_dim": 48 + 6 * 16,
                    "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN), "up_block_types": (CROSS_UP, CROSS_UP, UP)},
           {**VAE, "sample_size": 1024, "scaling_factor": 0.13025},
           (("text_encoder", CLIPTextModel, {**TEXT, "hidden_act": "quick_gelu"},
             "conditioner.embedders.0.transformer."),
            ("text_encoder_2", CLIPTextModelWithProjection,
             {**TEXT, "hidden_size": 80, "hidden_act": "gelu", "num_hidden_layers": 3, "projection_dim": 48},
             "conditioner.embedders.1.model.")),
           SDXL.scheduler, "BF16"),
    Family("refiner", {**UNET, "attention_head_dim": [1, 1, 2, 2], "block_out_channels": (64, 64, 128, 128),
                       "cross_attention_dim": 80, "use_linear_projection": True, "sample_size": 128,
                       "transformer_layers_per_block": 2, "addition_embed_type": "text_time",
                       "addition_time_embed_dim": 16, "projection_class_embeddings_input_dim": 48 + 5 * 16,
                       "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
                       "up_block_types": (UP, CROSS_UP, CROSS_UP, UP)},
           {**VAE, "sample_size": 1024, "scaling_factor": 0.13025},
           (("text_encoder_2", CLIPTextModelWithProjection,
             {**TEXT, "hidden_size": 80, "hidden_act": "gelu", "num_hidden_layers": 3, "projection_dim": 48},
             "conditioner.embedders.0.model."),),
           SDXL.scheduler, "BF16"),
)
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def value_at(index: int, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers from -1 to 1 by a linear congruence, scaled so that a network keeps its maps near one. Tensor `index`."""
    count = math.prod(shape)
    with numpy.errstate(over="ignore"):
        state = (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(index) * numpy.uint64(1_000_003))
        for _ in range(2):
            state = state * numpy.uint64(6364136223846793005) + numpy.uint64(1442695040888963407)
            state ^= state >> numpy.uint64(33)
    unit = (state >> numpy.uint64(40)).astype(numpy.float64) / 2.0**23 - 1.0
    if len(shape) > 1:
        values = unit * math.sqrt(3.0 / (count // shape[0]))
    else:
        values = unit * 0.1 if name.endswith("bias") else unit * 0.1 + 1.0
    return torch.from_numpy(values.astype(numpy.float32).reshape(shape))


def original_shapes(family: Family) -> dict[str, torch.Tensor]:
    """The file's tensors without values (meta device)."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**family.unet)
        vae = AutoencoderKL(**family.vae)
        texts = [(kind(CLIPTextConfig(**options)), prefix) for _, kind, options, prefix in family.texts]
    tensors = original_names.unet(unet.state_dict(), family.unet["layers_per_block"], family.unet["up_block_types"])
    tensors |= original_names.vae(vae.state_dict(), len(family.vae["block_out_channels"]))
    for model, prefix in texts:
        convert = original_names.clip_text if prefix.endswith("transformer.") else original_names.open_clip_text
        tensors |= convert(model.state_dict(), prefix)
    if family.name.startswith("sd2"):  # the last layer and the projection, which nothing reads
        width = family.texts[0][2]["hidden_size"]
        last = "cond_stage_model.model.transformer.resblocks."
        tensors |= {name.replace(f"{last}22.", f"{last}23."): value for name, value in tensors.items()
                    if name.startswith(f"{last}22.")}
        tensors["cond_stage_model.model.text_projection"] = torch.empty((width, width), device="meta")
    return tensors


def leftovers(family: Family) -> list[list]:
    """What real files carry beside the model: name, shape, type."""
    extra = [[name, list(shape), "F32"] for name, shape in SCHEDULE_LEFTOVERS.items()]
    extra += [["model_ema.decay", [], "F32"], ["model_ema.num_updates", [], "I64"],
              ["model_ema.diffusion_modeltime_embed0weight", [4, 4], "F32"],
              ["model_ema.diffusion_modeltime_embed0bias", [4], "F32"]]
    for _, _, _, prefix in family.texts:
        if prefix.endswith("transformer."):
            extra.append([f"{prefix}text_model.embeddings.position_ids", [1, 77], "I64"])
        else:
            extra.append([f"{prefix}logit_scale", [], "F32"])
    return sorted(extra)


def digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.float().contiguous().numpy().tobytes()).hexdigest()[:DIGEST]


def converted(family: Family, tensors: dict[str, torch.Tensor], folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """What diffusers' single-file loaders make of the file, by component."""
    file = folder / "model.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, str(file))
    parts = {}
    for name, kind, options in (("unet", UNet2DConditionModel, family.unet), ("vae", AutoencoderKL, family.vae)):
        with torch.device("meta"):
            kind(**options).save_config(folder / name)
        loaded = kind.from_single_file(str(file), config=str(folder), subfolder=name, torch_dtype=torch.float32)
        parts[name] = loaded.state_dict()
    for name, kind, options, _ in family.texts:
        CLIPTextConfig(**options).save_pretrained(folder / name)
        loaded = create_diffusers_clip_model_from_ldm(kind, dict(tensors), subfolder=name, config=str(folder),
                                                      torch_dtype=torch.float32, local_files_only=True)
        parts[name] = {hub_text_name(key): value for key, value in loaded.state_dict().items()}
    for name, part in parts.items():
        for key, value in part.items():
            if value.is_meta:
                raise ValueError(f"{family.name}: {name}: diffusers did not find {key}")
    return parts


def configs(family: Family) -> dict[str, dict]:
    with torch.device("meta"):
        parts = {"unet": dict(UNet2DConditionModel(**family.unet).config),
                 "vae": dict(AutoencoderKL(**family.vae).config), "scheduler": family.scheduler}
        for name, kind, options, _ in family.texts:
            parts[name] = text_encoder_config(kind(CLIPTextConfig(**options)))
    for name, kind in (("unet", "UNet2DConditionModel"), ("vae", "AutoencoderKL")):
        parts[name] = {"_class_name": kind, **parts[name]}
        parts[name].pop("_use_default_values", None)
    return parts


def make_case(family: Family, output: Path) -> None:
    shapes = {name: tuple(value.shape) for name, value in original_shapes(family).items()}
    names = sorted(shapes)
    tensors = {name: value_at(index, name, shapes[name]).to(DTYPES[family.stored]) for index, name in enumerate(names)}
    with tempfile.TemporaryDirectory() as folder:
        parts = converted(family, tensors, Path(folder))
    case = {"stored": family.stored, "tensors": [[name, list(shapes[name])] for name in names],
            "leftovers": leftovers(family), "configs": configs(family),
            "converted": {part: {key: digest(value) for key, value in sorted(values.items())}
                          for part, values in parts.items()}}
    write_compact(output / f"{family.name}.json", case)


def write_compact(path: Path, case: dict) -> None:
    """JSON with a tensor a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(case, indent=0, sort_keys=True)
    for before, after in (("[\n", "["), (",\n[", ",\n["), ("\n]", "]")):
        text = text.replace(before, after)
    path.write_text(text + "\n", encoding="utf-8")


FULL_TEXT = {**full_size.TEXT, "vocab_size": VOCABULARY, "max_position_embeddings": 77}
FULL_TEXT_2 = {**full_size.TEXT_2, "vocab_size": VOCABULARY, "max_position_embeddings": 77}
FULL_TEXT_H = {**full_size.TEXT_H, "vocab_size": VOCABULARY, "max_position_embeddings": 77}
FULL_SIZE = (
    Family("sd15", full_size.SD15_UNET, full_size.VAE,
           (("text_encoder", CLIPTextModel, FULL_TEXT, "cond_stage_model.transformer."),), {}),
    Family("sd21", full_size.SD21_UNET, full_size.VAE,
           (("text_encoder", CLIPTextModel, FULL_TEXT_H, "cond_stage_model.model."),), {}),
    Family("sdxl", full_size.SDXL_UNET, full_size.VAE,
           (("text_encoder", CLIPTextModel, FULL_TEXT, "conditioner.embedders.0.transformer."),
            ("text_encoder_2", CLIPTextModelWithProjection, FULL_TEXT_2, "conditioner.embedders.1.model.")), {}),
)


def make_layout(family: Family, output: Path) -> None:
    """Names and shapes of a full-size file, a tensor a line."""
    lines = [f"{name} {','.join(map(str, value.shape))}" for name, value in sorted(original_shapes(family).items())]
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{family.name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_single_file_cases(output: Path) -> None:
    for family in FAMILIES:
        make_case(family, output)
    for family in FULL_SIZE:
        make_layout(family, output / "layouts")


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_single_file_cases(Path(sys.argv[1]))
