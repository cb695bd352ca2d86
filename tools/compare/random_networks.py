"""diffusers' UNet and autoencoder with random weights, made where they will run.

Nothing is drawn on the CPU or copied: the largest UNet is there in a second. Values have the spread that
tools/make_random_model gives them, so that what is computed stays finite and no product is one of zeros.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from torch import nn

ARCHITECTURES = Path(__file__).resolve().parents[2] / "models/architectures"


def config_of(arch: str, part: str) -> dict:
    return json.loads((ARCHITECTURES / arch / part / "config.json").read_text(encoding="utf-8"))


def build(kind: type, config: dict, device: torch.device, dtype: torch.dtype) -> nn.Module:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            network = kind.from_config(config)
    finally:
        torch.set_default_dtype(usual)
    if any(True for _ in network.buffers()):
        raise ValueError(f"{kind.__name__} has buffers, which random values would spoil")
    network = network.to_empty(device=device).to(memory_format=torch.channels_last)
    _fill(network)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def _fill(network: nn.Module) -> None:
    for owner in network.modules():
        norm = isinstance(owner, (nn.GroupNorm, nn.LayerNorm))
        for name, parameter in owner.named_parameters(recurse=False):
            if norm and name == "weight":
                parameter.normal_(1.0, 0.2)
            elif parameter.ndim == 1:
                parameter.normal_(0.0, 0.1)
            else:
                parameter.normal_(0.0, 1 / math.sqrt(parameter[0].numel()))
