"""Stage 1: the autoencoder of 128 px pictures to 8x8 latents of 16 channels."""

import math

import torch
import torch.multiprocessing as multiprocessing
from diffusers import AutoencoderKL

import data
import parallel

CHANNELS = (16, 32, 64, 112, 144)
CONFIG = dict(
    in_channels=3, out_channels=3, latent_channels=16, sample_size=data.SIZE,
    block_out_channels=CHANNELS, layers_per_block=1, norm_num_groups=4, mid_block_add_attention=False,
    down_block_types=["DownEncoderBlock2D"] * len(CHANNELS), up_block_types=["UpDecoderBlock2D"] * len(CHANNELS),
    scaling_factor=1.0, force_upcast=False)
CROP = 64
FACTOR = 2 ** (len(CHANNELS) - 1)


def initialise(model):
    """Fan-in normal weights, quiet residual branches: learns about three times faster than the default."""
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            fan_in = module.weight[0].numel()
            torch.nn.init.normal_(module.weight, std=1 / math.sqrt(fan_in))
            torch.nn.init.zeros_(module.bias)
            if name.endswith("resnets.0.conv2") or name.endswith("resnets.1.conv2"):
                module.weight.data.mul_(0.2)
    with torch.no_grad():
        # The second half of the encoder's output is the logarithm of the variance: begin with little noise.
        latents = model.config.latent_channels
        model.quant_conv.weight[latents:].mul_(0.1)
        model.quant_conv.bias[latents:].fill_(-4)


def picture_loss(output, target):
    """L1, plus L1 of the differences of neighbours, which is what keeps edges sharp, plus a little squared error."""
    difference = output.float() - target
    horizontal = difference[..., 1:] - difference[..., :-1]
    vertical = difference[..., 1:, :] - difference[..., :-1, :]
    return (difference.abs().mean() + 0.5 * (horizontal.abs().mean() + vertical.abs().mean())
            + 0.5 * difference.square().mean())


class Job:
    name = "vae"
    rate, warm_up, flat = 2e-3, 100, 0.4
    average_decay = 0.998
    save_every = 120
    batch = 12
    crops_until = 0.45

    def __init__(self, pictures_file, checkpoint, seconds):
        self.pictures_file, self.checkpoint, self.seconds = pictures_file, checkpoint, seconds

    def is_matrix(self, name, parameter):
        return parameter.ndim == 4 and min(parameter.flatten(1).shape) > 8 and "quant_conv" not in name

    def start(self, rank, step):
        self.pictures = torch.load(self.pictures_file)
        self.colours = data.background_colours()
        self.weights = torch.tensor([float(data.WHITE_WEIGHT)] + [1.0] * (len(self.colours) - 1))
        self.generator = torch.Generator().manual_seed(10 * step + rank)
        self.l1 = []

    def note(self):
        text = f"L1 {sum(self.l1) / len(self.l1):.4f}"
        self.l1.clear()
        return text

    def loss(self, model, progress):
        crops = progress < self.crops_until
        count = self.batch if crops else self.batch // 2
        index = torch.randint(len(self.pictures), (count,), generator=self.generator)
        colour = torch.multinomial(self.weights, count, replacement=True, generator=self.generator)
        target = data.composite(self.pictures[index], self.colours[colour])
        if crops:
            # Crops keep the grid of the latents, so that what is learnt here fits whole pictures.
            places = (data.SIZE - CROP) // FACTOR + 1
            place = torch.randint(places, (count, 2), generator=self.generator) * FACTOR
            target = torch.stack([t[:, y:y + CROP, x:x + CROP] for t, (y, x) in zip(target, place.tolist())])
        with torch.autocast("cpu", torch.bfloat16):
            posterior = model.encode(target).latent_dist
            output = model.decode(posterior.sample()).sample
        self.l1.append(float((output.detach().float() - target).abs().mean()))
        return picture_loss(output, target) + 1e-3 * posterior.kl().mean() / posterior.mean[0].numel()


@torch.no_grad()
def normalise(model, latents):
    """Makes each channel of the latents zero mean and unit variance, and the model's two 1x1 convolutions fit that."""
    mean, std = latents.mean((0, 1, 3, 4)), latents.std((0, 1, 3, 4))
    channels = model.config.latent_channels
    model.quant_conv.weight[:channels] /= std[:, None, None, None]
    model.quant_conv.bias[:channels] = (model.quant_conv.bias[:channels] - mean) / std
    model.quant_conv.bias[channels:] -= 2 * std.log()
    model.post_quant_conv.bias += model.post_quant_conv.weight[:, :, 0, 0] @ mean
    model.post_quant_conv.weight *= std[None, :, None, None]
    return (latents - mean[:, None, None]) / std[:, None, None]


def _encode(rank, model, pictures, latents):
    torch.set_num_threads(1)
    colours = data.background_colours()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for i in range(rank, len(pictures), parallel.WORKERS):
            batch = data.composite(pictures[i].expand(len(colours), -1, -1, -1), colours)
            latents[i] = model.encode(batch).latent_dist.mode().float()


def encode(model, pictures):
    """Latents [n, 12, 16, 8, 8] of every picture over every background."""
    size = data.SIZE // FACTOR
    latents = torch.zeros(len(pictures), len(data.BACKGROUNDS), model.config.latent_channels, size, size).share_memory_()
    multiprocessing.start_processes(
        _encode, (model.share_memory(), pictures.share_memory_(), latents), nprocs=parallel.WORKERS, start_method="spawn")
    return latents


def train(pictures_file, work, seconds):
    torch.manual_seed(1)
    model, average = AutoencoderKL(**CONFIG), AutoencoderKL(**CONFIG)
    initialise(model)
    return parallel.train(Job(pictures_file, work / "vae.pt", seconds), model, average)
