"""What torch.Generator("cpu").manual_seed(seed) draws: every shape alone, and draws in a row.

And what torch.Generator("cuda") draws, by the published algorithm: Philox 4x32-10 and cuRAND's Box-Muller.
"""

from __future__ import annotations

from pathlib import Path

import numpy
import torch

from tiny_weights import write_case

SEEDS = (0, 1, 42, 1234, 2**31 - 1, 2**32 - 1, 2**32, 2**40 + 7, 2**63 - 1, 2**63, 2**64 - 1)
SHAPES = ((1,), (2,), (3,), (7,), (15,), (16,), (17,), (23,), (31,), (32,), (1, 4, 9, 7), (2, 4, 5, 3))
SEQUENCE = ((3,), (5,), (16,), (1,), (17,), (4, 4), (2,), (1, 4, 5, 3))


def _shape_name(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)


# torch.manual_seed(0); torch.randn(12, device="cuda"), as A1111's rng_philox.py quotes it from a GPU.
ON_A_GPU = (-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086589, -0.57972564, -0.62285122, -0.32838709,
            -1.07454231, -0.36314407, -1.67105067, 2.26550497)


def _philox(counter: numpy.ndarray, seed: int) -> numpy.ndarray:
    """Ten rounds over counters [4, n] of 32 bits, in numbers of 64."""
    low32 = numpy.uint64(0xFFFFFFFF)
    c = counter.astype(numpy.uint64)
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = c[0] * numpy.uint64(0xD2511F53), c[2] * numpy.uint64(0xCD9E8D57)
        c = numpy.stack([(b >> numpy.uint64(32)) ^ c[1] ^ numpy.uint64(key[0]), b & low32,
                         (a >> numpy.uint64(32)) ^ c[3] ^ numpy.uint64(key[1]), a & low32])
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def cuda_normal(seed: int, draw: int, count: int) -> torch.Tensor:
    counter = numpy.zeros((4, count), dtype=numpy.uint64)
    counter[0] = draw
    counter[2] = numpy.arange(count)
    random = _philox(counter, seed)
    unit = numpy.float32(2.3283064e-10)
    turn = numpy.float32(2.3283064e-10 * 6.2831855)
    u = random[0].astype(numpy.float32) * unit + unit / 2
    v = random[1].astype(numpy.float32) * turn + turn / 2
    return torch.from_numpy(numpy.sqrt(numpy.float32(-2) * numpy.log(u)) * numpy.sin(v))


def _cuda_draws(seed: int) -> dict[str, torch.Tensor]:
    return {f"cuda/seed_{seed}/sequence_{k}": cuda_normal(seed, k, torch.Size(shape).numel()).reshape(shape)
            for k, shape in enumerate(SEQUENCE)}


def make_noise_cases(output: Path) -> None:
    tensors = {}
    for seed in SEEDS:
        for shape in SHAPES:
            generator = torch.Generator("cpu").manual_seed(seed)
            tensors[f"seed_{seed}/shape_{_shape_name(shape)}"] = torch.randn(shape, generator=generator)
        generator = torch.Generator("cpu").manual_seed(seed)
        for index, shape in enumerate(SEQUENCE):
            tensors[f"seed_{seed}/sequence_{index}"] = torch.randn(shape, generator=generator)
        tensors |= _cuda_draws(seed)
    tensors["cuda/on_a_gpu"] = torch.tensor(ON_A_GPU)
    assert (cuda_normal(0, 0, len(ON_A_GPU)) - tensors["cuda/on_a_gpu"]).abs().max() < 1e-6
    # A text, since a seed of 2^63 and more does not fit every JSON reader's integer.
    case = {"seeds": [str(seed) for seed in SEEDS], "shapes": SHAPES, "sequence": SEQUENCE}
    write_case(output, case, tensors)
