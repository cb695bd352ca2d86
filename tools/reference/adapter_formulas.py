"""The changes that adapters make, by the formulas their authors published, in fp64."""

from __future__ import annotations

import torch

Tensors = dict[str, torch.Tensor]


def lora(t: Tensors, shape: torch.Size) -> torch.Tensor:
    """arXiv 2106.09685; with lora_mid LyCORIS' Tucker form of a convolution."""
    up, down = t["lora_up.weight"].flatten(1), t["lora_down.weight"]
    if "lora_mid.weight" not in t:
        return (up @ down.flatten(1)).reshape(shape)
    return torch.einsum("nmkl,in,mj->ijkl", t["lora_mid.weight"], up, down.flatten(1))


def tucker(core: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ijkl,jr,ip->prkl", core, b, a)


def loha(t: Tensors, shape: torch.Size) -> torch.Tensor:
    """lycoris/modules/loha.py"""
    parts = []
    for k in ("1", "2"):
        a, b = t[f"hada_w{k}_a"], t[f"hada_w{k}_b"]
        parts.append(tucker(t[f"hada_t{k}"], a, b) if f"hada_t{k}" in t else a @ b)
    return (parts[0] * parts[1]).reshape(shape)


def lokr(t: Tensors, shape: torch.Size) -> torch.Tensor:
    """lycoris/modules/lokr.py"""
    w1 = t["lokr_w1"] if "lokr_w1" in t else t["lokr_w1_a"] @ t["lokr_w1_b"]
    if "lokr_t2" in t:
        w2 = tucker(t["lokr_t2"], t["lokr_w2_a"], t["lokr_w2_b"])
    else:
        w2 = t["lokr_w2"] if "lokr_w2" in t else t["lokr_w2_a"] @ t["lokr_w2_b"]
    if w2.ndim == 2 and len(shape) == 4:
        w2 = w2.reshape(w2.shape[0], -1, *shape[2:])
    return torch.kron(w1.reshape(*w1.shape, *[1] * (w2.ndim - 2)), w2.contiguous()).reshape(shape)


def rank_of(t: Tensors) -> int | None:
    for name in ("lora_down.weight", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if name in t:
            return t[name].shape[0]
    return None


def delta(t: Tensors, shape: torch.Size) -> torch.Tensor:
    """The change of a weight, alpha included."""
    t = {name: value.double() for name, value in t.items()}
    if "diff" in t:
        return t["diff"].reshape(shape)
    made = lora(t, shape) if "lora_up.weight" in t else loha(t, shape) if "hada_w1_a" in t else lokr(t, shape)
    rank = rank_of(t)
    return made if rank is None or "alpha" not in t else made * (t["alpha"].item() / rank)


def merged(weight: torch.Tensor, t: Tensors, strength: float) -> torch.Tensor:
    """`weight` with an adapter: DoRA (arXiv 2402.09353) as ComfyUI and A1111 scale it."""
    weight = weight.double()
    changed = weight + delta(t, weight.shape)
    if "dora_scale" in t:
        scale = t["dora_scale"].double()
        rows = changed.transpose(0, 1) if scale.shape[0] == 1 else changed
        changed = changed * (scale / rows.flatten(1).norm(dim=1).reshape(scale.shape))
    return weight + strength * (changed - weight)
