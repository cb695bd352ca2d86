"""Runs the real pipelines that draw a part of a picture anew, and instruct-pix2pix, on the tiny models and on UNets of
theirs that read more than latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from diffusers import (
    AutoPipelineForInpainting,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPAGInpaintPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from PIL import Image

from picture_cases import BASE, draw, write_picture
from pipeline_cases import load_pipeline
from tiny_models import SD1, SDXL, Family, write_index
from tiny_weights import fill, write_case


@dataclass(frozen=True)
class OwnUNet:
    """A UNet for the other parts of a tiny model."""

    family: Family
    pipeline: str  # that such models are saved as
    channels: int
    seed: int


SMALL = {"sd1": {"block_out_channels": (8, 12)},
         "sdxl": {"block_out_channels": (4, 8, 8), "attention_head_dim": [1, 2, 2]}}
UNETS = {
    "inpaint_sd1": OwnUNet(SD1, "StableDiffusionInpaintPipeline", 9, 910),
    "inpaint_sdxl": OwnUNet(SDXL, "StableDiffusionXLInpaintPipeline", 9, 920),
    "pix2pix_sd1": OwnUNet(SD1, "StableDiffusionInstructPix2PixPipeline", 8, 930),
    "pix2pix_sdxl": OwnUNet(SDXL, "StableDiffusionXLInstructPix2PixPipeline", 8, 940),
}
WHOLE = BASE | {"strength": 1.0}
PART = {"strength": 0.6}
INPAINT = {
    "sd1_ddim": {"sampler": "ddim", "batch": 2},
    "sd1_ddim_part": {"sampler": "ddim", **PART},
    "sd1_ddim_eta": {"sampler": "ddim", "eta": 0.7},
    "sd1_ddpm": {"sampler": "ddpm"},
    "sd1_euler": {"sampler": "euler"},
    "sd1_euler_part": {"sampler": "euler", **PART},
    "sd1_euler_karras": {"sampler": "euler", "spacing": "karras"},
    "sd1_euler_a": {"sampler": "euler_a", "batch": 2},
    "sd1_heun": {"sampler": "heun"},
    "sd1_heun_part": {"sampler": "heun", **PART},
    "sd1_dpmpp2m": {"sampler": "dpm++2m"},
    "sd1_dpmpp2m_part": {"sampler": "dpm++2m", **PART},
    "sd1_deis": {"sampler": "deis", "steps": 20},
    "sd1_unipc": {"sampler": "unipc"},
    "sd1_lcm": {"sampler": "lcm", "guidance_scale": 1.0},
    "sd1_mask_size": {"sampler": "ddim", "mask_size": (52, 36)},
    "sd1_pag": {"sampler": "ddim", "pag_scale": 3.0},
    "sd2_ddim": {"model": "sd2", "sampler": "ddim"},
    "sdxl_euler": {"model": "sdxl", "sampler": "euler"},
    "sdxl_dpmpp2m_part": {"model": "sdxl", "sampler": "dpm++2m", "batch": 2, **PART},
    "unet_sd1_ddim": {"unet": "inpaint_sd1", "sampler": "ddim", "batch": 2},
    "unet_sd1_ddim_part": {"unet": "inpaint_sd1", "sampler": "ddim", **PART},
    "unet_sd1_euler_a": {"unet": "inpaint_sd1", "sampler": "euler_a", "guidance_scale": 1.0},
    "unet_sd1_heun": {"unet": "inpaint_sd1", "sampler": "heun"},
    "unet_sd1_pag": {"unet": "inpaint_sd1", "sampler": "euler", "pag_scale": 2.0},
    "unet_sdxl_euler": {"unet": "inpaint_sdxl", "model": "sdxl", "sampler": "euler"},
}
EDIT = {
    "sd1_euler": {"sampler": "euler"},
    "sd1_ddim_one": {"sampler": "ddim", "batch": 2, "image_guidance_scale": 1.0},
    "sd1_euler_a": {"sampler": "euler_a", "guidance_scale": 8.0, "image_guidance_scale": 2.5, "batch": 2},
    "sd1_dpmpp2m": {"sampler": "dpm++2m", "image_guidance_scale": 1.2},
    "sd1_heun": {"sampler": "heun"},
    "sd1_unguided": {"sampler": "euler", "guidance_scale": 1.0},
    "sdxl_euler": {"model": "sdxl", "unet": "pix2pix_sdxl", "sampler": "euler"},
}


def make_unets(output: Path) -> None:
    """Each with the model_index.json of a model that has it, whose other parts are the tiny one's."""
    for name, own in UNETS.items():
        config = {**own.family.unet, **SMALL[own.family.name], "in_channels": own.channels}
        unet = fill(UNet2DConditionModel(**config), own.seed).half()
        unet.save_pretrained(output / name / "unet")
        write_index(replace(own.family, pipeline=own.pipeline), output / name)


def open_pipeline(models: Path, unets: Path, run: dict):
    pipe = load_pipeline(models / run["model"])
    if "unet" in run:
        pipe.unet = UNet2DConditionModel.from_pretrained(str(unets / run["unet"] / "unet")).float()
    return pipe


def write_mask(path: Path, run: dict) -> Image.Image:
    """Soft noise, of the picture's size and in colours, or grey and of another size."""
    if "mask_size" not in run:
        return write_picture(path, 79, run["height"], run["width"])
    width, height = run["mask_size"]
    mask = write_picture(path, 80, height, width).convert("L")
    mask.save(path)
    return mask


def make_inpainting(models: Path, output: Path) -> None:
    for name, changes in INPAINT.items():
        run = WHOLE | changes
        directory = output / f"inpaint_{name}"
        picture = write_picture(directory / "init.png", 77, run["height"], run["width"])
        mask = write_mask(directory / "mask.png", run)
        pipe, more = open_pipeline(models, output / "unets", run), {}
        if "pag_scale" in run:
            pipe = StableDiffusionPAGInpaintPipeline.from_pipe(pipe, pag_applied_layers="mid")
            more = {"pag_scale": run["pag_scale"]}
        else:
            pipe = AutoPipelineForInpainting.from_pipe(pipe)
        pipe.set_progress_bar_config(disable=True)
        # A picture for each generator: of a lone one only the first would draw the latents.
        write_case(directory, run,
                   draw(pipe, run, image=[picture] * run["batch"], mask_image=[mask] * run["batch"],
                        strength=run["strength"], height=run["height"], width=run["width"], **more))


def make_editing(models: Path, output: Path) -> None:
    for name, changes in EDIT.items():
        run = WHOLE | {"unet": "pix2pix_sd1", "image_guidance_scale": 1.5} | changes
        directory = output / f"pix2pix_{name}"
        picture = write_picture(directory / "init.png", 77, run["height"], run["width"])
        pipe = open_pipeline(models, output / "unets", run)
        if run["model"] == "sdxl":
            pipe = StableDiffusionXLInstructPix2PixPipeline.from_pipe(pipe)
            more = {"height": run["height"], "width": run["width"]}
        else:
            pipe, more = StableDiffusionInstructPix2PixPipeline.from_pipe(pipe), {}
        pipe.set_progress_bar_config(disable=True)
        write_case(directory, run, draw(pipe, run, image=[picture] * run["batch"],
                                        image_guidance_scale=run["image_guidance_scale"], **more))


def make_inpainting_cases(models: Path, output: Path) -> None:
    make_unets(output / "unets")
    make_inpainting(models, output)
    make_editing(models, output)
