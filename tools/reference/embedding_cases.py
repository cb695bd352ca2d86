"""Textual-inversion embeddings of every kind of file, and the conditioning that diffusers makes of prompts with them."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from pipeline_cases import load_pipeline
from tiny_models import FAMILIES
from tiny_weights import write_case

VECTORS = {"ink": 3, "snow": 1}
PROMPTS = {"one": "a <snow> fox", "many": "<ink> and a red fox", "both": "a <snow> <ink> fox",
           "negative": "a house <ink>"}


def _a1111(tensor: torch.Tensor, name: str) -> dict:
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": tensor.requires_grad_()}, "name": name, "step": 500,
            "sd_checkpoint": "ab12cd34", "sd_checkpoint_name": None}


def _widths(pipe: DiffusionPipeline) -> dict[str, int]:
    return {"clip_l" if suffix == "" else "clip_g": getattr(pipe, f"text_encoder{suffix}").config.hidden_size
            for suffix in ("", "_2") if getattr(pipe, f"text_encoder{suffix}", None) is not None}


def _write_files(pipe: DiffusionPipeline, seed: int, directory: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Writes each in the forms that other programs have; returns the vectors by name and tower."""
    directory.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator("cpu").manual_seed(seed)
    made = {}
    for name, count in VECTORS.items():
        made[name] = {tower: 0.5 * torch.randn((count, width), generator=generator)
                      for tower, width in _widths(pipe).items()}
        vectors = made[name]
        if len(vectors) > 1:
            save_file({tower: one.to(torch.float16) for tower, one in vectors.items()}, directory / f"{name}.safetensors")
            made[name] = {tower: one.to(torch.float32) for tower, one in load_file(directory / f"{name}.safetensors").items()}
            continue
        lone = vectors["clip_l"]
        torch.save(_a1111(lone.clone(), name), directory / f"{name}.pt")
        save_file({"emb_params": lone}, directory / f"{name}_params.safetensors")
        save_file({f"<{name}>": lone if count > 1 else lone[0]}, directory / f"{name}_diffusers.safetensors")
        torch.save({f"<{name}>": lone if count > 1 else lone[0].clone()}, directory / f"{name}_diffusers.bin")
    return made


@torch.no_grad()
def _conditioning(pipe: DiffusionPipeline, made: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    for name, vectors in made.items():
        for tower, suffix in (("clip_l", ""), ("clip_g", "_2")):
            if tower in vectors:
                pipe.load_textual_inversion(vectors[tower], token=f"<{name}>",
                                            tokenizer=getattr(pipe, f"tokenizer{suffix}"),
                                            text_encoder=getattr(pipe, f"text_encoder{suffix}"))
    tensors = {}
    for name, prompt in PROMPTS.items():
        encoded = pipe.encode_prompt(prompt=prompt, device="cpu", num_images_per_prompt=1,
                                     do_classifier_free_guidance=False)
        tensors[f"{name}/context"] = encoded[0]
        if len(encoded) > 2:
            tensors[f"{name}/pooled"] = encoded[2]
    return tensors


def make_embedding_cases(models: Path, cases: Path) -> None:
    for family in FAMILIES:
        pipe = load_pipeline(models / family.name)
        with torch.no_grad():
            made = _write_files(pipe, family.seed + 70, cases / family.name)
        write_case(cases / family.name, {"model": family.name, "prompts": PROMPTS, "vectors": VECTORS},
                   _conditioning(pipe, made))
