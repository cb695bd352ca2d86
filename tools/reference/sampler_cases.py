"""Whole walks of diffusers' samplers in terms of sigma, and of those for distilled models, with a network that is a
formula and noise from a fixed pool."""

from __future__ import annotations

import inspect
from pathlib import Path
from unittest import mock

import diffusers
import torch

from tiny_weights import write_case

SHAPE = (2, 4, 5, 3)
POOL = 7
STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
V = {"prediction_type": "v_prediction"}
KARRAS = {"use_karras_sigmas": True}
EXPONENTIAL = {"use_exponential_sigmas": True}
BETA = {"use_beta_sigmas": True}
LEADING = {"timestep_spacing": "leading"}
TRAILING = {"timestep_spacing": "trailing"}

SPACED = {"plain": ({}, 6), "twenty": ({}, 20), "v": (V, 5), "karras": (KARRAS, 6), "exponential": (EXPONENTIAL, 5),
          "beta": (BETA, 7), "leading": (LEADING, 6), "trailing": (TRAILING, 4),
          "leading_karras": ({**LEADING, **KARRAS}, 5)}
# Of exponential and beta spacing the solvers of the DPM family cut the timesteps off to whole ones; ours do not.
WHOLE = {name: run for name, run in SPACED.items() if name not in ("exponential", "beta")}
PLAIN = {name: SPACED[name] for name in ("plain", "twenty", "v", "leading", "trailing")}
# diffusers names what it samples by other settings of one class after our own sampler here.
SDE = {"algorithm_type": "sde-dpmsolver++"}

# our sampler: class, settings of its own, runs
SAMPLERS: dict[str, tuple[type, dict, dict[str, tuple[dict, int]]]] = {
    "euler": (diffusers.EulerDiscreteScheduler, {}, SPACED),
    "euler_a": (diffusers.EulerAncestralDiscreteScheduler, {}, PLAIN),
    "heun": (diffusers.HeunDiscreteScheduler, {}, SPACED),
    "dpm2": (diffusers.KDPM2DiscreteScheduler, {}, SPACED),
    "dpm2_a": (diffusers.KDPM2AncestralDiscreteScheduler, {}, SPACED),
    "lms": (diffusers.LMSDiscreteScheduler, {}, SPACED),
    "dpm++2m": (diffusers.DPMSolverMultistepScheduler, {}, WHOLE),
    "dpm++2m_sde": (diffusers.DPMSolverMultistepScheduler, SDE, WHOLE),
    "deis": (diffusers.DEISMultistepScheduler, {}, PLAIN),
    "unipc": (diffusers.UniPCMultistepScheduler, {}, WHOLE),
    # Of velocities PNDMScheduler combines the predictions themselves; ours combines the noise that they mean.
    "plms": (diffusers.PNDMScheduler, {"skip_prk_steps": True},
             {"plain": ({}, 6), "twenty": ({}, 20), "to_one": ({"set_alpha_to_one": True}, 6)}),
    "lcm": (diffusers.LCMScheduler, {"clip_sample": False}, {"plain": ({}, 4), "one": ({}, 1), "v": (V, 8)}),
    "tcd": (diffusers.TCDScheduler, {"clip_sample": False}, {"plain": ({}, 4), "one": ({}, 1), "v": (V, 8)}),
}
TWO_CALLS = ("heun", "dpm2", "dpm2_a")


def network(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    return 0.5 * latents + 0.3 * torch.sin(2 * latents + float(timestep) / 200)


def _ends_step(sampler: str, call: int, steps: int) -> bool:
    """Whether a step of ours ends with this call of the network."""
    if sampler in TWO_CALLS:
        return call % 2 == 1 or call == 2 * steps - 2
    return call > 0 if sampler == "plms" else True


def _walk(sampler: str, scheduler, steps: int, sample: torch.Tensor, noises: torch.Tensor) -> torch.Tensor:
    scheduler.set_timesteps(steps)
    latents = sample * scheduler.init_noise_sigma
    module = inspect.getmodule(type(scheduler)).__name__
    states: list[torch.Tensor] = []
    # A step's noise is the pool's next, however often a scheduler draws some and leaves it.
    with mock.patch(f"{module}.randn_tensor", lambda *_, **__: noises[len(states) % POOL], create=True):
        for call, timestep in enumerate(scheduler.timesteps):
            prediction = network(scheduler.scale_model_input(latents, timestep), timestep)
            latents = scheduler.step(prediction, timestep, latents).prev_sample
            if _ends_step(sampler, call, steps):
                states.append(latents)
    assert len(states) == steps, (sampler, len(states), steps)
    return torch.stack(states)


def make_sampler_cases(output: Path) -> None:
    generator = torch.Generator("cpu").manual_seed(950)
    tensors = {"sample": torch.randn(SHAPE, generator=generator),
               "noises": torch.randn((POOL, *SHAPE), generator=generator)}
    sample, noises = tensors["sample"], tensors["noises"]
    records = []
    for sampler, (kind, own, runs) in SAMPLERS.items():
        for run, (options, steps) in runs.items():
            name = f"{sampler}/{run}"
            scheduler = kind.from_config({**STABLE, **own, **options})
            tensors[name] = _walk(sampler, scheduler, steps, sample, noises)
            spacing = next((key for key, set_ in (("karras", KARRAS), ("exponential", EXPONENTIAL), ("beta", BETA))
                            if set_.items() <= options.items()), "model")
            config = {key: value for key, value in {**STABLE, **options}.items() if not key.startswith("use_")}
            records.append({"name": name, "sampler": sampler, "class": kind.__name__, "config": config, "steps": steps,
                            "spacing": spacing})
    write_case(output, {"pool": POOL, "runs": records}, tensors)
