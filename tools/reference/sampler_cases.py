"""Whole walks of diffusers' samplers in terms of sigma, of those for distilled models, and of published formulas where
diffusers has none, with a network that is a formula and noise from a fixed pool."""

from __future__ import annotations

import inspect
import math
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
THRESHOLD = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5}
EXPONENTIAL = {"use_exponential_sigmas": True}
BETA = {"use_beta_sigmas": True}
LEADING = {"timestep_spacing": "leading"}
TRAILING = {"timestep_spacing": "trailing"}

# Thirty and 48 steps have timesteps that end in a half before they are rounded.
SPACED = {"plain": ({}, 6), "twenty": ({}, 20), "thirty": ({}, 30), "trailing_48": (TRAILING, 48), "v": (V, 5), "karras": (KARRAS, 6), "exponential": (EXPONENTIAL, 5),
          "beta": (BETA, 7), "leading": (LEADING, 6), "trailing": (TRAILING, 4),
          "leading_karras": ({**LEADING, **KARRAS}, 5)}
# Of exponential and beta spacing the solvers of the DPM family cut the timesteps off to whole ones; ours do not.
WHOLE = {name: run for name, run in SPACED.items() if name not in ("exponential", "beta")}
PLAIN = {name: SPACED[name] for name in ("plain", "twenty", "thirty", "v", "leading", "trailing")}
THRESHOLDED = {"threshold": (THRESHOLD, 6), "threshold_v": ({**THRESHOLD, **V}, 5)}
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
    "dpm++2m": (diffusers.DPMSolverMultistepScheduler, {}, {**WHOLE, **THRESHOLDED}),
    "dpm++2m_sde": (diffusers.DPMSolverMultistepScheduler, SDE, {**WHOLE, **THRESHOLDED}),
    "deis": (diffusers.DEISMultistepScheduler, {}, {**PLAIN, **THRESHOLDED}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}, {**WHOLE, **THRESHOLDED}),
    # Of velocities PNDMScheduler combines the predictions themselves; ours combines the noise that they mean.
    "plms": (diffusers.PNDMScheduler, {"skip_prk_steps": True},
             {"plain": ({}, 6), "twenty": ({}, 20), "to_one": ({"set_alpha_to_one": True}, 6)}),
    "lcm": (diffusers.LCMScheduler, {"clip_sample": False}, {"plain": ({}, 4), "one": ({}, 1), "v": (V, 8)}),
    "tcd": (diffusers.TCDScheduler, {"clip_sample": False}, {"plain": ({}, 4), "one": ({}, 1), "v": (V, 8)}),
}
TWO_CALLS = ("heun", "dpm2", "dpm2_a")


def network(latents: torch.Tensor, timestep: float, phase: float = 0) -> torch.Tensor:
    return 0.5 * latents + 0.3 * torch.sin(2 * latents + float(timestep) / 200 + phase)


class Formulas:
    """The samplers that diffusers has not, as the papers' and k-diffusion's formulas: x is the picture plus noise of
    deviation sigma, on the sigmas and timesteps of EulerDiscreteScheduler (of DPMSolverMultistepScheduler for 3M SDE)."""

    def __init__(self, kind: type, steps: int, sample: torch.Tensor, noises: torch.Tensor):
        scheduler = kind.from_config(STABLE)
        scheduler.set_timesteps(steps)
        self.sigmas = [float(sigma) for sigma in scheduler.sigmas]
        self.times = [float(t) for t in scheduler.timesteps]
        betas = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5
        self.training = betas.double().log()
        self.preserving = kind is diffusers.DPMSolverMultistepScheduler
        first = self.sigmas[0]
        self.x = sample.double() * ((first**2 + 1) ** 0.5 if self.preserving else first)
        self.noises, self.drawn = noises.double(), 0

    def noise(self) -> torch.Tensor:
        self.drawn += 1
        return self.noises[(self.drawn - 1) % POOL]

    def time(self, sigma: float) -> float:
        if sigma in self.sigmas:
            return self.times[self.sigmas.index(sigma)]
        log = torch.tensor(sigma).double().log()
        below = int((self.training <= log).sum()) - 1
        low, high = self.training[below], self.training[below + 1]
        return below + float((log - low) / (high - low))

    def denoised(self, x: torch.Tensor, sigma: float, phase: float = 0) -> torch.Tensor:
        return x - sigma * network(x / (sigma**2 + 1) ** 0.5, self.time(sigma), phase)

    def down_up(self, sigma: float, to: float) -> tuple[float, float]:
        up = min(to, (to**2 * (sigma**2 - to**2) / sigma**2) ** 0.5)
        return (to**2 - up**2) ** 0.5, up

    def walk(self, sampler: str) -> torch.Tensor:
        states, past, x = [], [], self.x
        for sigma, to in zip(self.sigmas, self.sigmas[1:]):
            x = getattr(self, sampler)(x, sigma, to, past)
            states.append(x / (to**2 + 1) ** 0.5 if self.preserving else x)
        return torch.stack(states).float()

    def euler_cfg_pp(self, x, sigma, to, past):
        negative = (x - self.denoised(x, sigma, phase=1)) / sigma
        return self.denoised(x, sigma) + negative * to

    def ipndm(self, x, sigma, to, past):
        denoised = self.denoised(x, sigma)
        past.insert(0, (x - denoised) / sigma)
        weights = ((1,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
        weights = weights[min(len(past), 4) - 1]
        return denoised if to == 0 else x + sum(w * d for w, d in zip(weights, past)) * (to - sigma)

    def dpmpp_2s_ancestral(self, x, sigma, to, past):
        down, up = self.down_up(sigma, to)
        denoised = self.denoised(x, sigma)
        if down == 0:
            return denoised
        h = math.log(sigma / down)
        middle = sigma * math.exp(-h / 2)
        half = middle / sigma * x - math.expm1(-h / 2) * denoised
        return down / sigma * x - math.expm1(-h) * self.denoised(half, middle) + up * self.noise()

    def dpmpp_sde(self, x, sigma, to, past):
        denoised = self.denoised(x, sigma)
        if to == 0:
            return denoised
        middle = math.exp((math.log(sigma) + math.log(to)) / 2)
        motion = self.noise() * (sigma - middle) ** 0.5
        down, up = self.down_up(sigma, middle)
        half = down / sigma * x + (1 - down / sigma) * denoised + up * motion / (sigma - middle) ** 0.5
        denoised = self.denoised(half, middle)
        motion = motion + self.noise() * (middle - to) ** 0.5
        down, up = self.down_up(sigma, to)
        return down / sigma * x + (1 - down / sigma) * denoised + up * motion / (sigma - to) ** 0.5

    def dpmpp_3m_sde(self, x, sigma, to, past):
        denoised = self.denoised(x, sigma)
        past.insert(0, (-math.log(sigma), denoised))
        if to == 0:
            return denoised
        now, h = -math.log(sigma), math.log(sigma / to)
        eta_h = 2 * h
        x = math.exp(-eta_h) * x - math.expm1(-eta_h) * denoised
        phi_2 = math.expm1(-eta_h) / eta_h + 1
        phi_3 = phi_2 / eta_h - 0.5
        if len(past) > 2:
            r0, r1 = (now - past[1][0]) / h, (past[1][0] - past[2][0]) / h
            d1_0, d1_1 = (denoised - past[1][1]) / r0, (past[1][1] - past[2][1]) / r1
            d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
            x = x + phi_2 * d1 - phi_3 * (d1_0 - d1_1) / (r0 + r1)
        elif len(past) > 1:
            x = x + phi_2 * (denoised - past[1][1]) / ((now - past[1][0]) / h)
        return x + self.noise() * to * (-math.expm1(-2 * h)) ** 0.5


FORMULAS = {"euler_cfg_pp": "euler_cfg_pp", "ipndm": "ipndm", "dpm++2s_a": "dpmpp_2s_ancestral", "dpm++sde": "dpmpp_sde",
            "dpm++3m_sde": "dpmpp_3m_sde"}


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
    for sampler, formula in FORMULAS.items():
        kind = diffusers.DPMSolverMultistepScheduler if sampler == "dpm++3m_sde" else diffusers.EulerDiscreteScheduler
        for steps in (2, 6, 20):
            name = f"{sampler}/{steps}"
            tensors[name] = Formulas(kind, steps, sample, noises).walk(formula)
            records.append({"name": name, "sampler": sampler, "class": "", "config": STABLE, "steps": steps,
                            "spacing": "model"})
    write_case(output, {"pool": POOL, "runs": records}, tensors)
