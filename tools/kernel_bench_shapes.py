"""Every attention and group norm of Stable Diffusion's networks, as tools/kernel_bench times them."""

from collections import namedtuple

Attention = namedtuple("Attention", "model kind batch heads queries keys head_dim")
GroupNorm = namedtuple("GroupNorm", "model batch channels side groups silu")

GUIDED = 2  # pictures in a UNet call: with and without the words

# model: (side of the latents, per level with attention: (divisor of the side, heads, head_dim)).
UNETS = {
    "sd15-512": (64, [(1, 8, 40), (2, 8, 80), (4, 8, 160), (8, 8, 160)]),
    "sd15-768": (96, [(1, 8, 40), (2, 8, 80), (4, 8, 160), (8, 8, 160)]),
    "sd21-768": (96, [(1, 5, 64), (2, 10, 64), (4, 20, 64), (8, 20, 64)]),
    "sdxl-1024": (128, [(2, 10, 64), (4, 20, 64)]),
}
# The residual blocks' norms, with SiLU: (channels, divisor of the side). 1.5 and 2.1 are built alike.
SD_NORMS = [(320, 1), (320, 2), (640, 2), (640, 4), (1280, 4), (1280, 8), (2560, 8), (2560, 4), (1920, 4), (1920, 2),
            (1280, 2), (960, 2), (960, 1), (640, 1)]
SDXL_NORMS = [(320, 1), (320, 2), (640, 2), (640, 4), (1280, 4), (2560, 4), (1920, 4), (1920, 2), (1280, 2), (960, 2),
              (960, 1), (640, 1)]
NORMS = {"sd15-512": (64, SD_NORMS), "sd15-768": (96, SD_NORMS), "sd21-768": (96, SD_NORMS), "sdxl-1024": (128, SDXL_NORMS)}
# The transformers' norms, without: (channels, divisor of the side).
PLAIN_NORMS = {"sd15-512": [(320, 1), (640, 2), (1280, 4), (1280, 8)], "sd15-768": [(320, 1), (640, 2), (1280, 4), (1280, 8)],
               "sd21-768": [(320, 1), (640, 2), (1280, 4), (1280, 8)], "sdxl-1024": [(640, 2), (1280, 4)]}
# The autoencoder decodes one picture at a time: (channels, side) of its norms.
DECODERS = {
    "vae-512": [(512, 64), (512, 128), (512, 256), (256, 256), (256, 512), (128, 512)],
    "vae-1024": [(512, 128), (512, 256), (512, 512), (256, 512), (256, 1024), (128, 1024)],
}


def attentions():
    shapes = []
    for model, (side, levels) in UNETS.items():
        for divisor, heads, head_dim in levels:
            tokens = (side // divisor) ** 2
            shapes.append(Attention(model, "self", GUIDED, heads, tokens, tokens, head_dim))
            shapes.append(Attention(model, "cross", GUIDED, heads, tokens, 77, head_dim))
    for prompt in (154, 231):
        shapes.append(Attention("sd15-512", "cross", GUIDED, 8, 4096, prompt, 40))
    return shapes


def wide_attentions():
    """The autoencoder's one head of 512."""
    return [Attention(model, "wide", 1, 1, side**2, side**2, 512) for model, side in (("vae-512", 64), ("vae-1024", 128))]


def group_norms():
    shapes = []
    for model, (side, norms) in NORMS.items():
        for channels, divisor in norms:
            shapes.append(GroupNorm(model, GUIDED, channels, side // divisor, 32, True))
        for channels, divisor in PLAIN_NORMS[model]:
            shapes.append(GroupNorm(model, GUIDED, channels, side // divisor, 32, False))
    for model, norms in DECODERS.items():
        for channels, side in norms:
            shapes.append(GroupNorm(model, 1, channels, side, 32, True))
        shapes.append(GroupNorm(model, 1, *norms[0], 32, False))  # of its attention
    return shapes
