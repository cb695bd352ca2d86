"""Runs the real pipelines that read a picture, on the tiny models: image to image."""

from __future__ import annotations

import inspect
from pathlib import Path

import diffusers
import numpy
import torch
from diffusers import AutoencoderTiny, AutoPipelineForImage2Image
from PIL import Image, ImageOps

from pipeline_cases import NEGATIVE, PROMPT, load_pipeline
from sampler_cases import TWO_CALLS
from tiny_weights import write_case

BASE = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 5.0, "steps": 6, "strength": 0.75, "eta": 0.0,
        "seed": 1234, "batch": 1, "height": 40, "width": 24, "model": "sd1", "spacing": "model"}
# our sampler: diffusers' class and settings of its own
SCHEDULERS = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {"clip_sample": False}),
}
IMG2IMG = {
    "sd1_ddim": {"sampler": "ddim", "batch": 2},
    "sd1_ddim_eta": {"sampler": "ddim", "eta": 0.7},
    "sd1_ddim_whole": {"sampler": "ddim", "strength": 1.0},
    "sd1_ddim_cut": {"sampler": "ddim", "strength": 0.29, "steps": 10},
    "sd1_ddpm": {"sampler": "ddpm"},
    "sd1_euler": {"sampler": "euler"},
    "sd1_euler_karras": {"sampler": "euler", "spacing": "karras"},
    "sd1_euler_whole": {"sampler": "euler", "strength": 1.0, "guidance_scale": 1.0},
    "sd1_euler_a": {"sampler": "euler_a", "batch": 2},
    "sd1_heun": {"sampler": "heun"},
    "sd1_dpm2": {"sampler": "dpm2"},
    "sd1_dpmpp2m": {"sampler": "dpm++2m"},
    "sd1_dpmpp2m_karras": {"sampler": "dpm++2m", "spacing": "karras"},
    "sd1_deis": {"sampler": "deis", "steps": 20},
    "sd1_unipc": {"sampler": "unipc"},
    "sd1_lcm": {"sampler": "lcm", "guidance_scale": 1.0},
    "sd2_ddim": {"model": "sd2", "sampler": "ddim"},
    "sd2_euler_a": {"model": "sd2", "sampler": "euler_a"},
    "sd1_tiny_vae": {"sampler": "ddim", "vae": "variants/vae_tiny"},
    "refiner_euler": {"model": "refiner", "sampler": "euler", "strength": 0.3, "steps": 10, "batch": 2},
    "refiner_no_negative": {"model": "refiner", "sampler": "ddim", "negative_prompt": None},
    "sdxl_euler": {"model": "sdxl", "sampler": "euler", "strength": 0.5},
    "sdxl_dpmpp2m": {"model": "sdxl", "sampler": "dpm++2m", "batch": 2},
}


def write_picture(path: Path, seed: int, height: int, width: int) -> Image.Image:
    """Soft coloured noise: random colours enlarged."""
    generator = torch.Generator("cpu").manual_seed(seed)
    small = torch.randint(0, 256, (height // 4, width // 4, 3), generator=generator, dtype=torch.uint8)
    picture = Image.fromarray(small.numpy()).resize((width, height), Image.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return picture


class Steps:
    """The latents after each step of ours, which may be two calls of the network."""

    def __init__(self, sampler: str, calls: int) -> None:
        self.two_calls, self.calls = sampler in TWO_CALLS, calls
        self.latents: list[torch.Tensor] = []

    def __call__(self, _pipe, call: int, _timestep, state: dict) -> dict:
        if not self.two_calls or call % 2 == 1 or call == self.calls - 1:
            self.latents.append(state["latents"].clone())
        return {}

    def watching(self, pipe) -> dict:
        """What tells a pipeline to call it."""
        if "callback_on_step_end" in inspect.signature(pipe.__call__).parameters:
            return {"callback_on_step_end": self}
        return {"callback": lambda call, timestep, latents: self(pipe, call, timestep, {"latents": latents})}


def use_scheduler(pipe, run: dict) -> None:
    kind, own = SCHEDULERS[run["sampler"]]
    karras = {"use_karras_sigmas": True} if run["spacing"] == "karras" else {}
    pipe.scheduler = getattr(diffusers, kind).from_config(pipe.scheduler.config, **own, **karras)


@torch.no_grad()
def draw(pipe, run: dict, **inputs) -> dict[str, torch.Tensor]:
    """One run of a pipeline, with a generator for each picture."""
    use_scheduler(pipe, run)
    taken = min(int(run["steps"] * run["strength"]), run["steps"])
    steps = Steps(run["sampler"], 2 * taken - 1)
    generators = [torch.Generator("cpu").manual_seed(run["seed"] + k) for k in range(run["batch"])]
    negative = run["negative_prompt"]
    last = pipe(prompt=[run["prompt"]] * run["batch"],
                negative_prompt=None if negative is None else [negative] * run["batch"],
                num_inference_steps=run["steps"], guidance_scale=run["guidance_scale"], eta=run["eta"],
                generator=generators, output_type="latent", **steps.watching(pipe), **inputs).images
    assert len(steps.latents) == taken, (run, len(steps.latents))
    assert torch.equal(last, steps.latents[-1])
    return {f"latents_step{k}": latents for k, latents in enumerate(steps.latents)}


def make_img2img(models: Path, output: Path) -> None:
    for name, changes in IMG2IMG.items():
        run = BASE | changes
        directory = output / f"img2img_{name}"
        picture = write_picture(directory / "init.png", 77, run["height"], run["width"])
        pipe = AutoPipelineForImage2Image.from_pipe(load_pipeline(models / run["model"]))
        pipe.set_progress_bar_config(disable=True)
        if "vae" in run:
            pipe.vae = AutoencoderTiny.from_pretrained(models / run["vae"])
        write_case(directory, run, draw(pipe, run, image=picture, strength=run["strength"]))


RESIZED = {"half": (20, 12), "odd": (31, 50), "larger": (75, 61), "wider": (96, 24), "one": (1, 1), "same_width": (40, 9)}


def make_reading(output: Path) -> None:
    """Files as Pillow reads them, upright and in RGB, and one at other sizes."""
    output.mkdir(parents=True)
    plain = write_picture(output / "plain.png", 78, 24, 40)
    plain.save(output / "plain.jpg", quality=90)
    plain.save(output / "fine.jpg", quality=95, subsampling=0)
    plain.save(output / "progressive.jpg", progressive=True)
    plain.convert("L").save(output / "grey.jpg")
    plain.convert("P").save(output / "palette.png")
    plain.convert("LA").save(output / "grey_alpha.png")
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        plain.save(output / f"turn_{turn}.jpg", exif=exif, quality=90)
    files = sorted(path.name for path in output.iterdir())
    tensors = {name: ImageOps.exif_transpose(Image.open(output / name)).convert("RGB") for name in files}
    tensors |= {name: plain.resize(size, Image.LANCZOS) for name, size in RESIZED.items()}
    write_case(output, {"files": files, "resized": RESIZED},
               {name: torch.from_numpy(numpy.array(picture)) for name, picture in tensors.items()})


def make_picture_cases(models: Path, output: Path) -> None:
    make_reading(output / "reading")
    make_img2img(models, output)
