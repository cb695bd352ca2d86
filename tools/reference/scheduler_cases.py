"""Steps of DDIM and DDPM over the options of their configurations, on fixed predictions and fixed noise."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import diffusers
import numpy
import torch

from tiny_weights import write_case

SHAPE = (2, 4, 5, 3)
POOL = 7
KEPT_STEPS = 9
STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1,
          "clip_sample": False}
STABLE_DDIM = {**STABLE, "set_alpha_to_one": False}
TRAINED = [float(beta) for beta in numpy.linspace(0.001, 0.03, 200, dtype=numpy.float64).round(6)]

# name: options, steps and, for DDIM, eta
DDIM: dict[str, tuple[dict, int, float]] = {
    "plain": (STABLE_DDIM, 20, 0.0),
    "eta_half": (STABLE_DDIM, 20, 0.5),
    "eta_one": (STABLE_DDIM, 20, 1.0),
    "one_step": (STABLE_DDIM, 1, 0.0),
    "two_steps": (STABLE_DDIM, 2, 1.0),
    "seven_steps": (STABLE_DDIM, 7, 0.0),
    "fifty_steps": (STABLE_DDIM, 50, 0.0),
    "999_steps": ({**STABLE_DDIM, "steps_offset": 0}, 999, 0.0),
    "1000_steps": ({**STABLE_DDIM, "steps_offset": 0}, 1000, 0.0),
    "alpha_to_one": ({**STABLE_DDIM, "set_alpha_to_one": True}, 7, 0.0),
    "offset_zero": ({**STABLE_DDIM, "steps_offset": 0}, 7, 0.0),
    "trailing": ({**STABLE_DDIM, "timestep_spacing": "trailing"}, 7, 0.5),
    "trailing_fifty": ({**STABLE_DDIM, "timestep_spacing": "trailing"}, 50, 0.0),
    "linspace": ({**STABLE_DDIM, "timestep_spacing": "linspace"}, 7, 0.5),
    "linspace_one": ({**STABLE_DDIM, "timestep_spacing": "linspace"}, 1, 0.0),
    "trailing_one": ({**STABLE_DDIM, "timestep_spacing": "trailing"}, 1, 0.0),
    "v_prediction": ({**STABLE_DDIM, "prediction_type": "v_prediction"}, 7, 0.5),
    "sample": ({**STABLE_DDIM, "prediction_type": "sample"}, 7, 0.5),
    "linear_clip": ({"beta_schedule": "linear"}, 20, 1.0),
    "clip_range": ({"beta_schedule": "linear", "clip_sample_range": 2.5, "prediction_type": "v_prediction"}, 7, 0.0),
    "cosine": ({"beta_schedule": "squaredcos_cap_v2", "clip_sample": False, "prediction_type": "v_prediction"}, 7, 0.5),
    "cosine_clip": ({"beta_schedule": "squaredcos_cap_v2"}, 20, 0.0),
    "trained": ({"trained_betas": TRAINED, "num_train_timesteps": 200, "clip_sample": False}, 7, 0.0),
    "thresholding": ({**STABLE_DDIM, "thresholding": True, "sample_max_value": 1.5}, 7, 0.0),
    "thresholding_v": ({**STABLE_DDIM, "thresholding": True, "dynamic_thresholding_ratio": 0.9,
                        "sample_max_value": 3.0, "prediction_type": "v_prediction"}, 7, 0.5),
    "zero_snr": ({**STABLE_DDIM, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
                  "prediction_type": "v_prediction"}, 7, 0.5),
    "zero_snr_sample": ({"beta_schedule": "linear", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
                         "prediction_type": "sample", "clip_sample": False}, 20, 0.0),
}
DDPM: dict[str, tuple[dict, int]] = {
    "plain": (STABLE, 20),
    "one_step": (STABLE, 1),
    "two_steps": (STABLE, 2),
    "seven_steps": (STABLE, 7),
    "fifty_steps": (STABLE, 50),
    "999_steps": ({**STABLE, "steps_offset": 0}, 999),
    "1000_steps": ({**STABLE, "steps_offset": 0}, 1000),
    "small_log": ({**STABLE, "variance_type": "fixed_small_log"}, 7),
    "large": ({**STABLE, "variance_type": "fixed_large"}, 7),
    "offset_zero": ({**STABLE, "steps_offset": 0}, 7),
    "trailing": ({**STABLE, "timestep_spacing": "trailing"}, 7),
    "linspace": ({**STABLE, "timestep_spacing": "linspace"}, 7),
    "v_prediction": ({**STABLE, "prediction_type": "v_prediction"}, 7),
    "sample": ({**STABLE, "prediction_type": "sample"}, 7),
    "linear_clip": ({"beta_schedule": "linear"}, 20),
    "clip_range": ({"beta_schedule": "linear", "clip_sample_range": 2.5, "prediction_type": "v_prediction"}, 7),
    "cosine": ({"beta_schedule": "squaredcos_cap_v2", "clip_sample": False, "prediction_type": "v_prediction"}, 7),
    "cosine_large": ({"beta_schedule": "squaredcos_cap_v2", "variance_type": "fixed_large"}, 7),
    "trained": ({"trained_betas": TRAINED, "num_train_timesteps": 200, "clip_sample": False}, 7),
    "thresholding": ({**STABLE, "thresholding": True, "sample_max_value": 1.5}, 7),
    "zero_snr": ({**STABLE, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
                  "prediction_type": "v_prediction"}, 7),
}


def _kept(steps: int) -> list[int]:
    """All steps of short runs; of long ones the first, the last and some between."""
    if steps <= KEPT_STEPS:
        return list(range(steps))
    return sorted({round(index * (steps - 1) / (KEPT_STEPS - 1)) for index in range(KEPT_STEPS)} | {1, steps - 2})


def _step(scheduler, prediction: torch.Tensor, timestep, sample: torch.Tensor, eta: float, noise: torch.Tensor):
    if isinstance(scheduler, diffusers.DDIMScheduler):
        return scheduler.step(prediction, timestep, sample, eta=eta, variance_noise=noise if eta > 0 else None)
    with mock.patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", return_value=noise):
        return scheduler.step(prediction, timestep, sample)


def _run(name: str, scheduler, steps: int, eta: float, pools: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    scheduler.set_timesteps(steps)
    kept, states = _kept(len(scheduler.timesteps)), []
    sample = pools["sample"]
    for index, timestep in enumerate(scheduler.timesteps):
        prediction, noise = pools["model_outputs"][index % POOL], pools["noises"][index % POOL]
        sample = _step(scheduler, prediction, timestep, sample, eta, noise).prev_sample
        if index in kept:
            states.append(sample)
    return {f"{name}/timesteps": scheduler.timesteps.to(torch.int64), f"{name}/kept_steps": torch.tensor(kept),
            f"{name}/prev_samples": torch.stack(states)}


def _alphas_name(tensors: dict[str, torch.Tensor], alphas: torch.Tensor) -> str:
    """Configurations with the same betas share one tensor."""
    for name, known in tensors.items():
        if name.startswith("alphas_cumprod/") and torch.equal(known, alphas):
            return name
    name = f"alphas_cumprod/{sum(key.startswith('alphas_cumprod/') for key in tensors)}"
    tensors[name] = alphas
    return name


def make_scheduler_cases(output: Path) -> None:
    generator = torch.Generator("cpu").manual_seed(900)
    tensors = {"sample": torch.randn(SHAPE, generator=generator),
               "model_outputs": torch.randn((POOL, *SHAPE), generator=generator),
               "noises": torch.randn((POOL, *SHAPE), generator=generator)}
    pools = dict(tensors)
    runs = [(f"ddim/{name}", diffusers.DDIMScheduler, *values) for name, values in DDIM.items()]
    runs += [(f"ddpm/{name}", diffusers.DDPMScheduler, *values, 0.0) for name, values in DDPM.items()]
    records = []
    for name, kind, options, steps, eta in runs:
        scheduler = kind(**options)
        alphas = _alphas_name(tensors, scheduler.alphas_cumprod)
        tensors |= _run(name, scheduler, steps, eta, pools)
        config = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
        records.append({"name": name, "scheduler": kind.__name__, "config": config, "steps": steps, "eta": eta,
                        "alphas_cumprod": alphas})
    write_case(output, {"pool": POOL, "runs": records}, tensors)
