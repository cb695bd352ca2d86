"""Stage 3: the denoiser of the latents, trained together with the text encoder."""

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn import functional
from transformers import CLIPTokenizer

import data
import parallel
import text

CONFIG = dict(
    sample_size=8, in_channels=16, out_channels=16, block_out_channels=(64, 160), layers_per_block=1,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    cross_attention_dim=text.WIDTH, attention_head_dim=5, norm_num_groups=8)
SCHEDULER = dict(
    num_train_timesteps=1000, beta_start=0.00085, beta_end=0.02, beta_schedule="scaled_linear",
    prediction_type="v_prediction", timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=False,
    steps_offset=1)
EMPTY = 0.1
# Noise levels trained per caption: the text encoder's work is shared between them.
LEVELS = 2


def make_unet():
    unet = UNet2DConditionModel(**CONFIG)
    unet.set_attn_processor(AttnProcessor())  # faster on the CPU at these sizes than the fused one
    return unet


class Painter(nn.Module):
    def __init__(self, tokenizer):
        super().__init__()
        self.encoder = text.make_encoder(tokenizer)
        self.unet = make_unet()


class Job:
    name = "unet"
    rate, warm_up, flat = 3e-3, 100, 0.35
    average_decay = 0.997
    save_every = 120
    captions = 16
    batch = captions * LEVELS

    def __init__(self, work, seconds):
        self.work, self.checkpoint, self.seconds = work, work / "unet.pt", seconds

    def is_matrix(self, name, parameter):
        return (parameter.ndim >= 2 and "embeddings" not in name and "time_embedding" not in name
                and "conv_in" not in name and "conv_out" not in name)

    def start(self, rank, step):
        self.tokenizer = CLIPTokenizer.from_pretrained(self.work / "tokenizer")
        self.captions_of = data.Captions(data.load_names(), seed=10 * step + rank)
        self.latents = torch.load(self.work / "latents.pt")
        products = DDIMScheduler(**SCHEDULER).alphas_cumprod
        self.signal, self.noise = products.sqrt(), (1 - products).sqrt()

    def note(self):
        return ""

    def loss(self, model, progress):
        pairs, texts = self.captions_of.batch(self.captions)
        texts = [t if self.captions_of.random.random() >= EMPTY else "" for t in texts]
        pictures, backgrounds = torch.tensor(pairs).T
        clean = self.latents[pictures, backgrounds].repeat(LEVELS, 1, 1, 1)
        # Stratified over the batch, with more weight on strong noise, where the text alone decides the picture.
        uniform = (torch.randperm(self.batch) + torch.rand(self.batch)) / self.batch
        times = (999.99 * (1 - uniform**1.6)).long()
        noise = torch.randn_like(clean)
        # The sampler's first step sees noise alone, so nothing of the picture may shine through in training either.
        first = times >= 975
        times = torch.where(first, 999, times)
        signal, strength = self.signal[times, None, None, None], self.noise[times, None, None, None]
        mixed = torch.where(first[:, None, None, None], noise, signal * clean + strength * noise)
        ids = text.tokenize(self.tokenizer, texts)
        with torch.autocast("cpu", torch.bfloat16):
            context = model.encoder(ids).last_hidden_state.repeat(LEVELS, 1, 1)
            velocity = model.unet(mixed, times, context).sample
        return functional.mse_loss(velocity.float(), signal * noise - strength * clean)


def train(encoder, work, seconds):
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    torch.manual_seed(3)
    painter, average = Painter(tokenizer), Painter(tokenizer)
    painter.encoder.load_state_dict(encoder.state_dict())
    return parallel.train(Job(work, seconds), painter, average)
