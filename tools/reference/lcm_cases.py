"""A UNet that is told the guidance scale (latent consistency models): diffusers' pipeline with sd1's other parts."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import LCMScheduler, UNet2DConditionModel

from pipeline_cases import BASE, _generators, load_pipeline
from tiny_models import SD1
from tiny_weights import fill, write_case

RUN = BASE | {"sampler": "LCMScheduler", "steps": 4, "batch": 2}
SCALES = (8.0, 1.0, 1.7)


@torch.no_grad()
def make_lcm_cases(models: Path, output: Path) -> None:
    changes = {"time_cond_proj_dim": 10, "block_out_channels": (8, 12)}
    unet = fill(UNet2DConditionModel(**{**SD1.unet, **changes}), 900).half()
    unet.save_pretrained(output / "unet")
    pipe = load_pipeline(models / SD1.name)
    pipe.unet = unet.float()
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    tensors = {}
    for scale in SCALES:
        tensors[f"latents_{scale}"] = pipe(
            prompt=[RUN["prompt"]] * RUN["batch"], num_inference_steps=RUN["steps"], generator=_generators(RUN),
            guidance_scale=scale, height=RUN["height"], width=RUN["width"], output_type="latent").images
    write_case(output, {"model": SD1.name, "scales": SCALES, **RUN}, tensors)
