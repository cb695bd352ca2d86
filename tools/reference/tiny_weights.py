"""Seeded weights that make every branch of a network matter, and the file writers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn


def initial_value(owner: nn.Module, name: str, noise: torch.Tensor) -> torch.Tensor:
    """Norm weights around one, biases well away from zero, matrices that keep the variance."""
    if isinstance(owner, (nn.GroupNorm, nn.LayerNorm)):
        return 1.0 + 0.2 * noise if name == "weight" else 0.1 * noise
    if isinstance(owner, nn.Embedding):
        return 0.5 * noise
    if noise.ndim == 1:
        return 0.1 * noise
    return noise / math.sqrt(noise[0].numel())


@torch.no_grad()
def fill(module: nn.Module, seed: int) -> nn.Module:
    """Overwrites every parameter, in the order of the dotted names, from one generator."""
    generator = torch.Generator("cpu").manual_seed(seed)
    owners = dict(module.named_modules())
    for dotted, parameter in sorted(module.named_parameters()):
        owner, _, name = dotted.rpartition(".")
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(initial_value(owners[owner], name, noise))
    return module.eval()


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensors[name].contiguous().clone() for name in sorted(tensors)}, str(path))


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_case(directory: Path, case: dict, tensors: dict[str, torch.Tensor]) -> None:
    """One case is one directory: its parameters and its tensors."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{directory.name}: {name} is not finite")
    write_json(directory / "case.json", case)
    write_tensors(directory / "reference.safetensors", tensors)
