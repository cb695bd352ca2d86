"""Group norm over NHWC maps: ours beside ATen's, which needs a pass of its own for whatever ours does on the way."""

import ctypes

from bench import entry
from bench.shapes import GROUPS
from bench.trial import Trial, caller, torch_dtype


def group_norm(bench, library, shape, dtype):
    torch = bench.torch
    functional = torch.nn.functional
    kind = torch_dtype(torch, dtype)

    def map_of(channels):
        sizes = shape.batch, channels, shape.side, shape.side
        return bench.random(*sizes, dtype=kind).to(memory_format=torch.channels_last)

    x = map_of(shape.channels - shape.second_channels)
    second = map_of(shape.second_channels) if shape.second_channels else None
    embedding = bench.random(shape.batch, shape.channels, dtype=kind) if shape.embedding else None
    weight, bias = (bench.random(shape.channels, dtype=kind) for _ in range(2))
    y = torch.empty(shape.batch, shape.channels, shape.side, shape.side, device=bench.device, dtype=kind,
                    memory_format=torch.channels_last)
    call = entry.norm_call(shape, dtype, GROUPS, (x, second, embedding, weight, bias, y))
    workspace = torch.zeros(library.brume_group_norm_workspace(ctypes.byref(call), ctypes.byref(bench.gpu)),
                            dtype=torch.uint8, device=bench.device)
    call.workspace = workspace.data_ptr()

    def aten(to=lambda tensor: tensor):
        whole = to(x) if second is None else torch.cat([to(x), to(second)], 1)
        if embedding is not None:
            whole = whole + to(embedding)[:, :, None, None]
        normal = functional.group_norm(whole, GROUPS, to(weight), to(bias), 1e-5)
        return functional.silu(normal) if shape.silu else normal

    def ours(run=caller(bench, library.brume_group_norm, call, ctypes.byref(bench.gpu)), keep=workspace):
        run()

    return Trial(entry.plan_text(library.brume_group_norm_plan, call, bench.gpu), ours, {"aten": aten},
                 lambda: [(y, aten(torch.Tensor.double))])
