"""Every shape of Stable Diffusion's networks that tools/kernel_bench times, derived from how diffusers builds them.

Shapes of one network are told once, however often a picture needs them.
"""

from typing import NamedTuple

GUIDED = 2  # pictures in a UNet call: with and without the words
WORDS = 77  # tokens of a prompt
GROUPS = 32


class Attention(NamedTuple):
    model: str
    kind: str  # self, cross, or wide: the autoencoder's one head
    batch: int
    heads: int
    queries: int
    keys: int
    head_dim: int

    def label(self):
        return f"{self.kind} {self.batch}x{self.heads}x{self.queries}x{self.keys} d {self.head_dim}"


class GroupNorm(NamedTuple):
    model: str
    batch: int
    channels: int
    second_channels: int  # of them, in a tensor of their own: a concatenation that is read where its parts lie
    side: int
    silu: bool
    embedding: bool  # of the time, added to each channel before

    def label(self):
        second = f"+{self.second_channels}" if self.second_channels else ""
        return (f"norm {self.batch}x{self.side}x{self.side}x{self.channels - self.second_channels}{second}"
                + (" + time" if self.embedding else "") + (" SiLU" if self.silu else ""))

    def elements(self):
        return self.batch * self.side**2 * self.channels


class LayerNorm(NamedTuple):
    model: str
    rows: int
    width: int
    residual: bool  # added before, and the sum kept

    def label(self):
        return f"layer norm {self.rows}x{self.width}" + (" + residual" if self.residual else "")


class Geglu(NamedTuple):
    model: str
    rows: int
    width: int  # of the result

    def label(self):
        return f"GEGLU {self.rows}x{self.width}"


class Silu(NamedTuple):
    model: str
    count: int

    def label(self):
        return f"SiLU {self.count}"


class TimestepEmbedding(NamedTuple):
    model: str
    count: int
    width: int

    def label(self):
        return f"timestep embedding {self.count}x{self.width}"


class GuidedStep(NamedTuple):
    model: str
    count: int
    noise: bool

    def label(self):
        return f"guided step {self.count}" + (" + noise" if self.noise else "")


class UNet(NamedTuple):
    """UNet2DConditionModel with two residual blocks a level, three on the way up."""

    model: str
    side: int  # of the latents
    channels: tuple  # of each level, whose side is half of the one before
    transformers: tuple  # whether a level has them; the middle always does
    heads: int = 0  # 0: as many as make head_dim 64
    sizes: bool = False  # embeds six numbers about the picture beside the time

    def heads_of(self, channels):
        return self.heads or channels // 64


SD_LEVELS = {"channels": (320, 640, 1280, 1280), "transformers": (True, True, True, False)}
UNETS = (
    UNet("sd15-512", 64, **SD_LEVELS, heads=8),
    UNet("sd15-768", 96, **SD_LEVELS, heads=8),
    UNet("sd21-768", 96, **SD_LEVELS),
    UNet("sdxl-1024", 128, (320, 640, 1280), (False, True, True), sizes=True),
)
# AutoencoderKL, the same for all of them: its levels, and the sides of its pictures.
AUTOENCODER_CHANNELS = (128, 256, 512, 512)
PICTURES = (512, 768, 1024)


def once(shapes):
    return list(dict.fromkeys(shapes))


def transformer_levels(unet):
    """(channels, side) of each level with transformers, then of the middle."""
    levels = [(channels, unet.side >> level)
              for level, (channels, has) in enumerate(zip(unet.channels, unet.transformers)) if has]
    return once([*levels, (unet.channels[-1], unet.side >> len(unet.channels) - 1)])


def attentions():
    shapes = []
    for unet in UNETS:
        for channels, side in transformer_levels(unet):
            heads = unet.heads_of(channels)
            for kind, keys in (("self", side**2), ("cross", WORDS)):
                shapes.append(Attention(unet.model, kind, GUIDED, heads, side**2, keys, channels // heads))
    for prompts in (2, 3):  # as long ones are read, 77 tokens at a time
        shapes.append(Attention("sd15-512", "cross", GUIDED, 8, 4096, prompts * WORDS, 40))
    return shapes


def wide_attentions():
    """The autoencoder's one head of 512."""
    width = AUTOENCODER_CHANNELS[-1]
    return [Attention(f"vae-{side}", "wide", 1, 1, (side // 8) ** 2, (side // 8) ** 2, width) for side in PICTURES]


def unet_norms(unet):
    """A residual block: norm of what it reads, convolution, time embedding added, norm. On the way up it reads the
    concatenation of what comes from below and what the way down left."""

    def norm(channels, level, *, second=0, silu=True, embedding=False):
        return GroupNorm(unet.model, GUIDED, channels, second, unet.side >> level, silu, embedding)

    last = len(unet.channels) - 1
    width = unet.channels[0]
    left = [width]  # the first convolution's
    for level, channels in enumerate(unet.channels):
        for _ in range(2):
            yield norm(width, level)
            yield norm(channels, level, embedding=True)
            width = channels
            left.append(width)
        if level < last:
            left.append(width)  # the downsampled one
    for _ in range(2):  # the middle
        yield norm(width, last)
        yield norm(width, last, embedding=True)
    for level, channels in reversed(list(enumerate(unet.channels))):
        for _ in range(3):
            second = left.pop()
            yield norm(width + second, level, second=second)
            yield norm(channels, level, embedding=True)
            width = channels
    yield norm(width, 0)  # before the last convolution
    for channels, side in transformer_levels(unet):
        yield GroupNorm(unet.model, GUIDED, channels, 0, side, False, False)


def autoencoder_norms(picture):
    """Encoder and decoder, which has a block more a level; no time, nothing to concatenate."""

    def norm(channels, side, silu=True):
        return GroupNorm(f"vae-{picture}", 1, channels, 0, side, silu, False)

    down = list(enumerate(AUTOENCODER_CHANNELS))
    for blocks, levels in ((2, down), (3, down[::-1])):
        width = levels[0][1]
        for level, channels in levels:
            for _ in range(blocks):
                yield norm(width, picture >> level)
                yield norm(channels, picture >> level)
                width = channels
    yield norm(AUTOENCODER_CHANNELS[-1], picture // 8, silu=False)  # of the attention


def group_norms():
    return once([*(norm for unet in UNETS for norm in unet_norms(unet)),
                 *(norm for picture in PICTURES for norm in autoencoder_norms(picture))])


def small(unet):
    """A transformer block adds each sublayer's result to its input and norms the sum at once; only the first norm has
    nothing to add."""
    for channels, side in transformer_levels(unet):
        rows = GUIDED * side**2
        yield LayerNorm(unet.model, rows, channels, False)
        yield LayerNorm(unet.model, rows, channels, True)
        yield Geglu(unet.model, rows, 4 * channels)
    yield Silu(unet.model, GUIDED * 4 * unet.channels[0])  # the time embedding
    yield Silu(unet.model, GUIDED * unet.side**2 * unet.channels[0])  # a map, were it not part of its norm
    yield TimestepEmbedding(unet.model, GUIDED, unet.channels[0])
    if unet.sizes:
        yield TimestepEmbedding(unet.model, GUIDED * 6, 256)
    for noise in (False, True):
        yield GuidedStep(unet.model, 4 * unet.side**2, noise)


def smalls():
    return once(shape for unet in UNETS for shape in small(unet))
