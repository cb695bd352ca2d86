"""Other guidance than the plain one: whole runs of diffusers' pipelines, and a walk of our own where they have none."""

from __future__ import annotations

from pathlib import Path

import diffusers
import torch
from diffusers import DDIMScheduler, StableDiffusionPAGPipeline, StableDiffusionXLPAGPipeline

from pipeline_cases import BASE, _generators, _initial_latents, load_pipeline
from tiny_models import FAMILIES
from tiny_weights import write_case

GUIDED = BASE | {"guidance_scale": 9.0, "steps": 5, "batch": 2, "height": 72, "width": 56}
FREEU = (1.3, 1.4, 0.9, 0.2)
RUNS = {
    "freeu": {"freeu": FREEU},
    "freeu_alone": {"freeu": (1.5, 1.1, 0.3, 0.6), "guidance_scale": 1.0, "height": 40, "width": 24},
    "pag": {"pag_scale": 3.0},
    "pag_alone": {"pag_scale": 2.5, "guidance_scale": 1.0},
    "pag_adaptive": {"pag_scale": 4.0, "pag_adaptive_scale": 0.006, "guidance_rescale": 0.7},
    "pag_layers": {"pag_scale": 2.0, "pag_layers": ["down_blocks", "mid", "up_blocks.1.attentions.1"]},
    "interval": {"interval": (0.2, 0.7)},
    "interval_end": {"interval": (0.0, 0.5), "guidance_rescale": 0.5},
    "mimic": {"mimic_scale": 3.0, "threshold_percentile": 1.0},
    "mimic_percentile": {"mimic_scale": 4.0, "threshold_percentile": 0.93, "interval": (0.2, 1.0)},
}
PAG = {"StableDiffusionPipeline": StableDiffusionPAGPipeline, "StableDiffusionXLPipeline": StableDiffusionXLPAGPipeline}


def _by_pipeline(pipe, run: dict) -> list[torch.Tensor]:
    """FreeU and PAG as diffusers has them."""
    more = {}
    if "pag_scale" in run:
        pipe = PAG[type(pipe).__name__].from_pipe(pipe, pag_applied_layers=run.get("pag_layers", "mid"))
        pipe.set_progress_bar_config(disable=True)
        more = {"pag_scale": run["pag_scale"], "pag_adaptive_scale": run.get("pag_adaptive_scale", 0.0)}
    if "freeu" in run:
        b1, b2, s1, s2 = run["freeu"]
        pipe.enable_freeu(s1=s1, s2=s2, b1=b1, b2=b2)
    states = []

    def on_step(_pipe, _step: int, _timestep, state: dict) -> dict:
        states.append(state["latents"].clone())
        return {}

    keys = ("guidance_scale", "guidance_rescale", "height", "width")
    pipe(prompt=[run["prompt"]] * run["batch"], negative_prompt=[run["negative_prompt"]] * run["batch"],
         num_inference_steps=run["steps"], generator=_generators(run), output_type="latent",
         callback_on_step_end=on_step, **{key: run[key] for key in keys}, **more)
    return states


def _mimicked(cond: torch.Tensor, uncond: torch.Tensor, run: dict) -> torch.Tensor:
    """sd-dynamic-thresholding's DynThresh, for clean samples: each channel apart, MEAN, AD, no interpolation."""
    mimic = uncond + (cond - uncond) * run["mimic_scale"]
    target = uncond + (cond - uncond) * run["guidance_scale"]
    result = torch.empty_like(target)
    for n in range(target.shape[0]):
        for c in range(target.shape[1]):
            weak, strong = mimic[n, c] - mimic[n, c].mean(), target[n, c] - target[n, c].mean()
            reference = weak.abs().max()
            most = max(reference, torch.quantile(strong.abs().flatten(), run["threshold_percentile"]))
            result[n, c] = strong.clamp(-most, most) / most * reference + target[n, c].mean()
    return result


def _guided(uncond: torch.Tensor, cond: torch.Tensor, run: dict, prediction: str, latents: torch.Tensor,
            alpha: torch.Tensor) -> torch.Tensor:
    if "mimic_scale" not in run:
        guided = uncond + run["guidance_scale"] * (cond - uncond)
    else:
        signal, noise = alpha.sqrt(), (1 - alpha).sqrt()
        if prediction == "epsilon":
            clean = _mimicked((latents - noise * cond) / signal, (latents - noise * uncond) / signal, run)
            guided = (latents - signal * clean) / noise
        else:
            clean = _mimicked(signal * latents - noise * cond, signal * latents - noise * uncond, run)
            guided = (signal * latents - clean) / noise
    rescale = run["guidance_rescale"]
    if rescale > 0:
        wanted, actual = (x.std(dim=(1, 2, 3), keepdim=True) for x in (cond, guided))
        guided = rescale * guided * (wanted / actual) + (1 - rescale) * guided
    return guided


def _by_hand(pipe, run: dict) -> list[torch.Tensor]:
    """DDIM, guided in the steps that diffusers' ClassifierFreeGuidance counts (start, stop)."""
    encoded = pipe.encode_prompt(prompt=run["prompt"], negative_prompt=run["negative_prompt"], device="cpu",
                                 num_images_per_prompt=run["batch"], do_classifier_free_guidance=True)
    size = torch.tensor([[run["height"], run["width"], 0, 0, run["height"], run["width"]]] * run["batch"],
                        dtype=torch.float32)

    def predict(latents: torch.Tensor, t: torch.Tensor, which: int) -> torch.Tensor:
        added = {"text_embeds": encoded[2 + which], "time_ids": size} if len(encoded) > 2 else None
        return pipe.unet(latents, t, encoder_hidden_states=encoded[which], added_cond_kwargs=added).sample

    pipe.scheduler.set_timesteps(run["steps"])
    latents, states = _initial_latents(pipe, run), []
    start, stop = (int(share * run["steps"]) for share in run.get("interval", (0.0, 1.0)))
    for i, t in enumerate(pipe.scheduler.timesteps):
        said = predict(latents, t, 0)
        if start <= i < stop:
            alpha = pipe.scheduler.alphas_cumprod[t]
            said = _guided(predict(latents, t, 1), said, run, pipe.scheduler.config.prediction_type, latents, alpha)
        latents = pipe.scheduler.step(said, t, latents).prev_sample
        states.append(latents)
    return states


@torch.no_grad()
def make_guidance_cases(models: Path, cases: Path) -> None:
    for family in FAMILIES:
        plain = load_pipeline(models / family.name)
        plain.scheduler = DDIMScheduler.from_config(plain.scheduler.config)
        # The walk by hand is the pipeline's where both can do it.
        for ours, theirs in zip(_by_hand(plain, GUIDED), _by_pipeline(plain, GUIDED), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        for name, changes in RUNS.items():
            run = GUIDED | changes
            pipe = load_pipeline(models / family.name)
            pipe.scheduler = getattr(diffusers, run["sampler"]).from_config(pipe.scheduler.config)
            walk = _by_pipeline if {"freeu", "pag_scale"} & run.keys() else _by_hand
            states = walk(pipe, run)
            write_case(cases / f"{family.name}_{name}", {"model": family.name, **run},
                       {"latents": torch.stack(states)})
