"""Every stage of a diffusers run in fp32, one component in memory at a time."""

from __future__ import annotations

import gc
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline

Tensors = dict[str, torch.Tensor]
PARTS = ("text_encoder", "text_encoder_2", "unet", "vae")


@dataclass(frozen=True)
class Request:
    """One picture; height and width in pixels, a negative prompt of None is none at all."""

    prompt: str
    negative_prompt: str | None
    steps: int
    guidance: float
    seed: int
    height: int
    width: int


def read_config(model: Path, part: str) -> dict:
    return json.loads((model / part / "config.json").read_text(encoding="utf-8"))


def vae_factor(model: Path) -> int:
    return 2 ** (len(read_config(model, "vae")["block_out_channels"]) - 1)


def native_size(model: Path) -> tuple[int, int]:
    """Height and width in pixels of the UNet's own latents."""
    size = read_config(model, "unet")["sample_size"]
    height, width = size if isinstance(size, list) else (size, size)
    return height * vae_factor(model), width * vae_factor(model)


def fingerprint(model: Path, request: Request) -> dict[str, str]:
    """Names the model's files and the request, so that a cache is only used for what it was made from."""
    files = sorted(path for path in model.rglob("*") if path.is_file())
    entries = [[str(path.relative_to(model)), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return {"files": json.dumps(entries), "request": json.dumps(asdict(request), sort_keys=True)}


def first_latents(model: Path, request: Request) -> torch.Tensor:
    factor = vae_factor(model)
    shape = (1, read_config(model, "vae")["latent_channels"], request.height // factor, request.width // factor)
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(request.seed))


def _load_with(model: Path, keep: tuple[str, ...], dtype: torch.dtype = torch.float32) -> DiffusionPipeline:
    """The model's pipeline with some of its networks only."""
    index = json.loads((model / "model_index.json").read_text(encoding="utf-8"))
    absent = {part: None for part in PARTS if part in index and part not in keep}
    pipe = DiffusionPipeline.from_pretrained(str(model), dtype=dtype, local_files_only=True, **absent)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _token_ids(tokenizer, text: str) -> torch.Tensor:
    return tokenizer(text, padding="max_length", max_length=tokenizer.model_max_length, truncation=True,
                     return_tensors="pt").input_ids


@torch.no_grad()
def text_stage(model: Path, request: Request) -> tuple[Tensors, dict]:
    """Returns the stages' tensors and the embeddings as the pipeline's call takes them."""
    pipe = _load_with(model, ("text_encoder", "text_encoder_2"))
    guided = request.guidance > 1
    encoded = pipe.encode_prompt(prompt=request.prompt, negative_prompt=request.negative_prompt, device="cpu",
                                 num_images_per_prompt=1, do_classifier_free_guidance=guided)
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    embeds = {name: value for name, value in zip(names, encoded) if value is not None}

    def rows(suffix: str) -> torch.Tensor:
        parts = [embeds[f"negative_{suffix}"]] if guided else []
        return torch.cat([*parts, embeds[suffix]])

    stages = {"ids": _token_ids(pipe.tokenizer, request.prompt)}
    if hasattr(pipe, "tokenizer_2"):
        stages["ids_2"] = _token_ids(pipe.tokenizer_2, request.prompt)
        stages["pooled"] = rows("pooled_prompt_embeds")
    return stages | {"context": rows("prompt_embeds")}, embeds


@torch.no_grad()
def denoise_stage(model: Path, request: Request, embeds: dict, dtype: torch.dtype = torch.float32) -> Tensors:
    """In another dtype the embeddings and the latents have it too: the pipeline keeps all of them in its UNet's."""
    pipe = _load_with(model, ("unet",), dtype)
    embeds = {name: value.to(dtype) for name, value in embeds.items()}
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    stages: Tensors = {}

    def on_unet(_module, _inputs, output) -> None:
        stages.setdefault("unet_out_step0", output[0])

    def on_step(_pipe, step: int, _timestep, state: dict) -> dict:
        stages[f"latents_step{step}"] = state["latents"].clone()
        return {}

    pipe.unet.register_forward_hook(on_unet)
    latents = first_latents(model, request).to(dtype)
    # Without a VAE the pipeline takes its factor for 8; the latents given below have the real size.
    size = {"height": latents.shape[-2] * pipe.vae_scale_factor, "width": latents.shape[-1] * pipe.vae_scale_factor}
    if hasattr(pipe, "tokenizer_2"):
        size |= {"original_size": (request.height, request.width), "target_size": (request.height, request.width)}
    pipe(**embeds, **size, num_inference_steps=request.steps, guidance_scale=request.guidance, latents=latents, eta=0.0,
         output_type="latent", callback_on_step_end=on_step)
    return stages


@torch.no_grad()
def decode_stage(model: Path, latents: torch.Tensor) -> Tensors:
    vae = AutoencoderKL.from_pretrained(str(model / "vae"), dtype=torch.float32, local_files_only=True)
    z = latents / vae.config.scaling_factor + (vae.config.shift_factor or 0.0)
    return {"decoded": vae.decode(z).sample}


def reference_stages(model: Path, request: Request) -> Tensors:
    stages, embeds = text_stage(model, request)
    gc.collect()
    stages |= denoise_stage(model, request, embeds)
    gc.collect()
    stages |= decode_stage(model, stages[f"latents_step{request.steps - 1}"])
    for name, tensor in stages.items():
        if not math.isfinite(tensor.double().abs().max().item()):
            raise ValueError(f"the reference's {name} is not finite")
    return stages
