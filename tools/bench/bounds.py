"""The model that measured times are judged by: the least time a GPU can take for a shape.

The slowest of three parts that a perfect kernel would overlap: products on tensor cores, special functions, and every
byte of the operands moved once. Only what the definition demands is counted: no padding, no second pass, no FMA
pipe. Where all three are over before a launch is, the launch binds.
"""

from typing import NamedTuple

from bench import shapes

# Of the smallest kernel between two events, where none was measured (--plans): as the kernels' models on paper say.
LAUNCH_ON_PAPER = 2.0


class Work(NamedTuple):
    bytes: int
    flop: int = 0  # of matrix products
    specials: int = 0


class Bound(NamedTuple):
    microseconds: float
    binds: str


def least_time(work, peaks, launch):
    """`launch`: microseconds of the smallest kernel."""
    parts = {"products": work.flop / peaks.products, "exponentials": work.specials / peaks.specials,
             "memory": work.bytes / peaks.bandwidth, "launch": launch / 1e6}
    binds = max(parts, key=parts.get)
    return Bound(parts[binds] * 1e6, binds)


HALF, SINGLE = 2, 4  # bytes


def attention(shape):
    """q, k, v read, the result written; a product for the scores and one with v, an exponential a score."""
    scores = shape.batch * shape.heads * shape.queries * shape.keys
    rows = shape.batch * shape.heads * 2 * (shape.queries + shape.keys)
    return Work(HALF * rows * shape.head_dim, 4 * scores * shape.head_dim, scores)


def group_norm(shape):
    """SiLU needs one special function: x sigmoid(x) = x / 2 (1 + tanh(x / 2))."""
    few = 2 * shape.channels + (shape.batch * shape.channels if shape.embedding else 0)  # weight, bias, embedding
    return Work(HALF * (2 * shape.elements() + few), specials=shape.elements() if shape.silu else 0)


def layer_norm(shape):
    moved = 4 if shape.residual else 2  # x and residual, the sum and its norm
    return Work(HALF * (moved * shape.rows + 2) * shape.width, specials=shape.rows)


def geglu(shape):
    """The error function needs no special function."""
    return Work(HALF * 3 * shape.rows * shape.width)


def silu(shape):
    return Work(HALF * 2 * shape.count, specials=shape.count)


def timestep_embedding(shape):
    waves = shape.count * shape.width
    return Work(SINGLE * shape.count + HALF * waves, specials=waves + shape.width // 2)


def guided_step(shape):
    """Latents, two predictions, perhaps noise, and the next latents."""
    return Work((2 * SINGLE + 2 * HALF + (SINGLE if shape.noise else 0)) * shape.count)


WORK = {shapes.Attention: attention, shapes.GroupNorm: group_norm, shapes.LayerNorm: layer_norm, shapes.Geglu: geglu,
        shapes.Silu: silu, shapes.TimestepEmbedding: timestep_embedding, shapes.GuidedStep: guided_step}


def work_of(shape):
    return WORK[type(shape)](shape)
