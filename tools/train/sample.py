"""Pictures of many captions at once from a model directory, computed in fp32 as diffusers would."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel, CLIPTokenizer

import data
import export


def caption(name, background):
    text = f"{data.article_of(name)} {name}"
    colour = data.BACKGROUND_NAMES[background]
    return text if background == 0 else f"{text} on {data.article_of(colour)} {colour} background"


class Sampler:
    def __init__(self, folder):
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
        self.unet.set_attn_processor(AttnProcessor())
        self.vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
        self.scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")

    @torch.no_grad()
    def context(self, captions):
        ids = self.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return self.encoder(ids).last_hidden_state

    @torch.no_grad()
    def latents(self, captions, seed, guidance=export.GUIDANCE, steps=export.STEPS, batch=128):
        config = self.unet.config
        generator = torch.Generator().manual_seed(seed)
        painted = []
        for first in range(0, len(captions), batch):
            part = captions[first:first + batch]
            context = torch.cat([self.context([""]).expand(len(part), -1, -1), self.context(part)])
            x = torch.randn(len(part), config.in_channels, config.sample_size, config.sample_size, generator=generator)
            self.scheduler.set_timesteps(steps)
            for t in self.scheduler.timesteps:
                if guidance == 1:
                    velocity = self.unet(x, t, context[len(part):]).sample
                else:
                    empty, full = self.unet(torch.cat([x, x]), t, context).sample.chunk(2)
                    velocity = empty + guidance * (full - empty)
                x = self.scheduler.step(velocity, t, x).prev_sample
            painted.append(x)
        return torch.cat(painted)

    @torch.no_grad()
    def pictures(self, latents, batch=16):
        """[n, 3, 128, 128] in -1..1."""
        scaled = latents / self.vae.config.scaling_factor
        return torch.cat([self.vae.decode(part).sample.clamp(-1, 1) for part in scaled.split(batch)])
