"""Runs the real pipelines on the tiny models and keeps a tensor for every stage."""

from __future__ import annotations

from pathlib import Path

import diffusers
import numpy
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DiffusionPipeline
from diffusers.image_processor import VaeImageProcessor

from tiny_models import FAMILIES, Family
from tiny_weights import write_case

PROMPT = "a red fox in the snow"
NEGATIVE = "blurry, text"
SEED = 1234
TEXTS = (PROMPT, NEGATIVE, "", "A  Painting,\n of THE old lighthouse; it's 1984!! (detailed:1.3)",
         "caf\u00e9 na\u00efve \u5c71\u6c34 \U0001f98a", "the castle on the hill " * 30,
         "cats' eyes<|endoftext|>!! don't")

ENCODED_TEXTS = 3
BASE = {"sampler": "DDIMScheduler", "prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 5.0,
        "guidance_rescale": 0.0, "clip_skip": None, "eta": 0.0, "steps": 4, "seed": SEED, "batch": 1,
        "height": 40, "width": 24}
RUNS = {
    "ddim": {"batch": 2, "height": 72, "width": 56},
    "ddim_rescale": {"guidance_rescale": 0.7},
    "ddim_no_guidance": {"guidance_scale": 1.0, "steps": 3},
    "ddim_clip_skip": {"clip_skip": 2, "steps": 2},
    "ddim_no_negative": {"negative_prompt": None, "steps": 2},
    "ddim_eta": {"eta": 0.7, "steps": 5},
    "ddpm": {"sampler": "DDPMScheduler", "seed": 2**40 + 7, "batch": 2},
}


def load_pipeline(directory: Path) -> DiffusionPipeline:
    pipe = DiffusionPipeline.from_pretrained(str(directory), dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    if pipe.text_encoder is not None and not hasattr(pipe.text_encoder, "text_model"):
        # diffusers 0.42 reads text_encoder.text_model for clip_skip; transformers 5 has no such level any more.
        object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)
    return pipe


def token_ids(tokenizer, texts: list[str]) -> torch.Tensor:
    return tokenizer(texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True,
                     return_tensors="pt").input_ids


class Recorder:
    """Keeps the inputs and the output of the first UNet call, and the decoder's output."""

    def __init__(self, pipe: DiffusionPipeline) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._unet_hook = pipe.unet.register_forward_hook(self._on_unet, with_kwargs=True)
        self._decoder_hook = pipe.vae.decoder.register_forward_hook(self._on_decoder)

    def _on_unet(self, _module, args: tuple, kwargs: dict, output: tuple) -> None:
        if "unet_out_step0" in self.tensors:
            return
        self.tensors |= {"unet_in_step0": args[0], "context": kwargs["encoder_hidden_states"],
                         "unet_out_step0": output[0]}
        added = kwargs.get("added_cond_kwargs") or {}
        names = {"text_embeds": "pooled", "time_ids": "time_ids"}
        self.tensors |= {names[key]: value for key, value in added.items()}

    def _on_decoder(self, _module, _args: tuple, output: torch.Tensor) -> None:
        self.tensors["decoded"] = output

    def on_step(self, _pipe, step: int, _timestep, state: dict) -> dict:
        self.tensors[f"latents_step{step}"] = state["latents"].clone()
        return {}

    def close(self) -> None:
        self._unet_hook.remove()
        self._decoder_hook.remove()


def _initial_latents(pipe: DiffusionPipeline, run: dict) -> torch.Tensor:
    shape = (1, pipe.unet.config.in_channels, run["height"] // 8, run["width"] // 8)
    draws = [torch.randn(shape, generator=generator) for generator in _generators(run)]
    return torch.cat(draws)


def _generators(run: dict) -> list[torch.Generator]:
    return [torch.Generator("cpu").manual_seed(run["seed"] + k) for k in range(run["batch"])]


@torch.no_grad()
def run_pipeline(pipe: DiffusionPipeline, run: dict) -> dict[str, torch.Tensor]:
    pipe.scheduler = getattr(diffusers, run["sampler"]).from_config(pipe.scheduler.config)
    recorder = Recorder(pipe)
    keys = ("guidance_scale", "guidance_rescale", "clip_skip", "eta", "height", "width")
    # One generator per picture; the pipeline draws the first latents from them itself.
    pictures = pipe(prompt=[run["prompt"]] * run["batch"],
                    negative_prompt=None if run["negative_prompt"] is None else [run["negative_prompt"]] * run["batch"],
                    num_inference_steps=run["steps"], generator=_generators(run), output_type="np",
                    callback_on_step_end=recorder.on_step, **{key: run[key] for key in keys}).images
    recorder.close()
    quantised = VaeImageProcessor.numpy_to_pil(pictures)
    return recorder.tensors | {
        "latents": _initial_latents(pipe, run),
        "timesteps": pipe.scheduler.timesteps.to(torch.int64),
        "picture": torch.from_numpy(numpy.stack([numpy.asarray(picture) for picture in quantised])),
        **_prompt_ids(pipe, run),
    }


def _prompt_ids(pipe: DiffusionPipeline, run: dict) -> dict[str, torch.Tensor]:
    tensors = {}
    for suffix in ("", "_2"):
        tokenizer = getattr(pipe, f"tokenizer{suffix}", None)
        if tokenizer is not None:
            tensors[f"ids{suffix}"] = token_ids(tokenizer, [run["prompt"]])
            tensors[f"negative_ids{suffix}"] = token_ids(tokenizer, [run["negative_prompt"] or ""])
    return tensors


@torch.no_grad()
def text_case(pipe: DiffusionPipeline) -> dict[str, torch.Tensor]:
    tensors = {}
    for suffix in ("", "_2"):
        tokenizer = getattr(pipe, f"tokenizer{suffix}", None)
        if tokenizer is None:
            continue
        ids = token_ids(tokenizer, list(TEXTS))
        output = getattr(pipe, f"text_encoder{suffix}")(ids[:ENCODED_TEXTS], output_hidden_states=True)
        tensors |= {f"ids{suffix}": ids, f"last_hidden_state{suffix}": output.last_hidden_state}
        tensors |= {f"hidden_state_{k}{suffix}": state for k, state in enumerate(output.hidden_states)}
        if hasattr(output, "text_embeds"):
            tensors[f"text_embeds{suffix}"] = output.text_embeds
    return tensors


@torch.no_grad()
def unet_case(pipe: DiffusionPipeline, seed: int) -> dict[str, torch.Tensor]:
    """Odd sizes, and another timestep for each row."""
    generator = torch.Generator("cpu").manual_seed(seed)
    config = pipe.unet.config
    tensors = {"sample": torch.randn((2, config.in_channels, 11, 5), generator=generator),
               "timesteps": torch.tensor([981, 17]),
               "context": torch.randn((2, 7, config.cross_attention_dim), generator=generator)}
    added = None
    if config.addition_embed_type == "text_time":
        tensors["pooled"] = torch.randn((2, pipe.text_encoder_2.config.projection_dim), generator=generator)
        tensors["time_ids"] = torch.tensor([[88.0, 40, 0, 0, 88, 40], [1024, 768, 3, 5, 64, 64]])
        added = {"text_embeds": tensors["pooled"], "time_ids": tensors["time_ids"]}
    output = pipe.unet(tensors["sample"], tensors["timesteps"], tensors["context"], added_cond_kwargs=added)
    return tensors | {"output": output.sample}


@torch.no_grad()
def vae_case(vae: torch.nn.Module, seed: int, height: int, width: int, latent_size: tuple[int, int]) -> dict:
    """Picture to moments, and latents (already divided by the scaling factor) to picture."""
    generator = torch.Generator("cpu").manual_seed(seed)
    picture = torch.rand((2, 3, height, width), generator=generator) * 2 - 1
    z = torch.randn((2, vae.config.latent_channels, *latent_size), generator=generator)
    posterior = vae.encode(picture).latent_dist
    return {"picture": picture, "moments": posterior.parameters, "mean": posterior.mean, "logvar": posterior.logvar,
            "z": z, "decoded": vae.decode(z).sample}


def _case_record(pipe: DiffusionPipeline, family: Family, run: dict) -> dict:
    scheduler = getattr(diffusers, run["sampler"]).from_config(pipe.scheduler.config)
    config = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    return {"model": family.name, **run, "scheduler_config": config}


def make_pipeline_cases(models: Path, cases: Path) -> None:
    for family in FAMILIES:
        pipe = load_pipeline(models / family.name)
        texts = {"model": family.name, "texts": list(TEXTS), "encoded_texts": ENCODED_TEXTS}
        write_case(cases / f"{family.name}_text", texts, text_case(pipe))
        write_case(cases / f"{family.name}_unet", {"model": family.name}, unet_case(pipe, family.seed))
        write_case(cases / f"{family.name}_vae", {"model": family.name},
                   vae_case(pipe.vae, family.seed, 40, 24, (5, 7)))
        for name, changes in RUNS.items():
            run = BASE | changes
            pipe = load_pipeline(models / family.name)
            record = _case_record(pipe, family, run)
            write_case(cases / f"{family.name}_{name}", record, run_pipeline(pipe, run))
