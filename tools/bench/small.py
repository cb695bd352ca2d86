"""The small kernels: ours beside the plain PyTorch that does the same."""

import math

from bench import entry, shapes
from bench.entry import ELEMENTS, with_pointers
from bench.trial import Trial, caller, torch_dtype


def same(tensor):
    return tensor


# Each gives our function and call with its operands, the plain PyTorch as a function of how operands are taken (as they
# are, or in float64), and what ours writes, in the order in which the plain one gives it.


def layer_norm(bench, library, shape, dtype):
    functional, kind = bench.torch.nn.functional, torch_dtype(bench.torch, dtype)
    x = bench.random(shape.rows, shape.width, dtype=kind)
    residual = bench.random(shape.rows, shape.width, dtype=kind) if shape.residual else None
    weight, bias = (bench.random(shape.width, dtype=kind) for _ in range(2))
    total, y = bench.torch.empty_like(x) if shape.residual else None, bench.torch.empty_like(x)
    tensors = x, residual, total, y, weight, bias
    call = with_pointers(
        entry.BrumeLayerNorm(rows=shape.rows, width=shape.width, element=ELEMENTS[dtype], eps=1e-5), tensors)

    def plain(to=same):
        whole = to(x) if residual is None else to(x) + to(residual)
        normal = functional.layer_norm(whole, (shape.width,), to(weight), to(bias), 1e-5)
        return (normal,) if residual is None else (normal, whole)

    return library.brume_layer_norm, call, tensors, plain, (y,) if total is None else (y, total)


def geglu(bench, library, shape, dtype):
    kind = torch_dtype(bench.torch, dtype)
    x = bench.random(shape.rows, 2 * shape.width, dtype=kind)
    y = bench.torch.empty(shape.rows, shape.width, device=bench.device, dtype=kind)
    call = with_pointers(entry.BrumeGeglu(rows=shape.rows, width=shape.width, element=ELEMENTS[dtype]), (x, y))

    def plain(to=same):
        value, gate = to(x).chunk(2, -1)
        return (value * bench.torch.nn.functional.gelu(gate),)

    return library.brume_geglu, call, (x, y), plain, (y,)


def silu(bench, library, shape, dtype):
    x = bench.random(shape.count, dtype=torch_dtype(bench.torch, dtype))
    y = bench.torch.empty_like(x)
    call = with_pointers(entry.BrumeSilu(count=shape.count, element=ELEMENTS[dtype]), (x, y))
    return library.brume_silu, call, (x, y), lambda to=same: (bench.torch.nn.functional.silu(to(x)),), (y,)


def timestep_embedding(bench, library, shape, dtype):
    """Beside diffusers' get_timestep_embedding with flip_sin_to_cos, and the cast that follows it."""
    torch, kind = bench.torch, torch_dtype(bench.torch, dtype)
    values = torch.linspace(1, 999, shape.count, device=bench.device)
    y = torch.empty(shape.count, shape.width, device=bench.device, dtype=kind)
    call = with_pointers(entry.BrumeTimestepEmbedding(count=shape.count, width=shape.width, element=ELEMENTS[dtype],
                                                      cosine_first=1, freq_shift=0), (values, y))

    def plain(to=same):
        half = shape.width // 2
        exponents = -math.log(10000) * to(torch.arange(half, dtype=torch.float32, device=bench.device)) / half
        angles = to(values)[:, None] * exponents.exp()[None]
        waves = torch.cat([angles.sin(), angles.cos()], -1)
        waves = torch.cat([waves[:, half:], waves[:, :half]], -1)
        return (waves.to(kind) if to is same else waves,)

    return library.brume_timestep_embedding, call, (values, y), plain, (y,)


def guided_step(bench, library, shape, dtype):
    """Beside guidance and a step written out; the factors are those of some step of 50."""
    torch, kind = bench.torch, torch_dtype(bench.torch, dtype)
    steps, step = 50, 7
    factors = {"latents": 1.012, "prediction": -0.043, "noise": 0.021, "guidance": 7.5}  # kernels::StepFactors
    table = torch.zeros(steps, len(factors), device=bench.device)
    table[step] = torch.tensor(list(factors.values()), device=bench.device)
    chosen = torch.tensor([step], device=bench.device, dtype=torch.int32)
    latents, noise = (bench.random(shape.count, dtype=torch.float32) for _ in range(2))
    negative, positive = (bench.random(shape.count, dtype=kind) for _ in range(2))
    after = torch.empty_like(latents)
    tensors = latents, negative, positive, noise if shape.noise else None, after, table, chosen
    call = with_pointers(entry.BrumeGuidedStep(count=shape.count, element=ELEMENTS[dtype]), tensors)

    def plain(to=same):
        guided = to(negative) + factors["guidance"] * (to(positive) - to(negative))
        result = factors["latents"] * to(latents) + factors["prediction"] * guided
        return (result + factors["noise"] * to(noise) if shape.noise else result,)

    return library.brume_guided_step, call, tensors, plain, (after,)


MAKERS = {shapes.LayerNorm: layer_norm, shapes.Geglu: geglu, shapes.Silu: silu,
          shapes.TimestepEmbedding: timestep_embedding, shapes.GuidedStep: guided_step}


def small(bench, library, shape, dtype):
    function, call, tensors, plain, written = MAKERS[type(shape)](bench, library, shape, dtype)

    def ours(run=caller(bench, function, call), keep=tensors):  # the call has their addresses alone
        run()

    return Trial("", ours, {"pytorch": plain},
                 lambda: list(zip(written, plain(bench.torch.Tensor.double), strict=True)))
