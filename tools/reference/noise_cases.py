"""What torch.Generator("cpu").manual_seed(seed) draws: every shape alone, and draws in a row."""

from __future__ import annotations

from pathlib import Path

import torch

from tiny_weights import write_case

SEEDS = (0, 1, 42, 1234, 2**31 - 1, 2**32 - 1, 2**32, 2**40 + 7, 2**63 - 1, 2**63, 2**64 - 1)
SHAPES = ((1,), (2,), (3,), (7,), (15,), (16,), (17,), (23,), (31,), (32,), (1, 4, 9, 7), (2, 4, 5, 3))
SEQUENCE = ((3,), (5,), (16,), (1,), (17,), (4, 4), (2,), (1, 4, 5, 3))


def _shape_name(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)


def make_noise_cases(output: Path) -> None:
    tensors = {}
    for seed in SEEDS:
        for shape in SHAPES:
            generator = torch.Generator("cpu").manual_seed(seed)
            tensors[f"seed_{seed}/shape_{_shape_name(shape)}"] = torch.randn(shape, generator=generator)
        generator = torch.Generator("cpu").manual_seed(seed)
        for index, shape in enumerate(SEQUENCE):
            tensors[f"seed_{seed}/sequence_{index}"] = torch.randn(shape, generator=generator)
    # A text, since a seed of 2^63 and more does not fit every JSON reader's integer.
    case = {"seeds": [str(seed) for seed in SEEDS], "shapes": SHAPES, "sequence": SEQUENCE}
    write_case(output, case, tensors)
