"""Attention: ours beside the backends of scaled_dot_product_attention."""

import ctypes

from bench import entry
from bench.trial import Trial, caller, torch_dtype

CHECKED = 128  # the first and the last queries are compared with float64


def heads_of(packed, shape):
    """[batch, tokens, heads head_dim] -> [batch, tokens, heads, head_dim], where it lies."""
    return packed.unflatten(-1, (shape.heads, shape.head_dim))


def operands(bench, shape, dtype):
    """q, k, v as the projections leave them, packed side by side where they come from the same tokens; and out."""
    width = shape.heads * shape.head_dim
    kind = torch_dtype(bench.torch, dtype)
    if shape.kind == "cross":
        q = bench.random(shape.batch, shape.queries, width, dtype=kind)
        k, v = bench.random(shape.batch, shape.keys, 2 * width, dtype=kind).split(width, -1)
    else:
        q, k, v = bench.random(shape.batch, shape.queries, 3 * width, dtype=kind).split(width, -1)
    out = bench.torch.empty(shape.batch, shape.queries, width, device=bench.device, dtype=kind)
    return [heads_of(tensor, shape) for tensor in (q, k, v, out)]


def backends(by_head, names):
    """The backends of these names on q, k and v [batch, heads, tokens, head_dim]."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    def under(backend):
        def work():
            with sdpa_kernel([backend]):
                return scaled_dot_product_attention(*by_head)
        return work

    known = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION,
             "efficient": SDPBackend.EFFICIENT_ATTENTION, "math": SDPBackend.MATH}
    return {name: under(known[name]) for name in names}


def exact_rows(torch, by_head, out):
    """Pairs of the checked rows of `out` and the same in float64."""
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = by_head
    tokens = q.shape[2]
    rows = sorted({*range(min(tokens, CHECKED)), *range(max(0, tokens - CHECKED), tokens)})
    rows = torch.tensor(rows, device=q.device)
    exact = scaled_dot_product_attention(q[:, :, rows].double(), k.double(), v.double())
    return [(out[:, rows].transpose(1, 2), exact)]


def attention(bench, library, shape, dtype):
    q, k, v, out = operands(bench, shape, dtype)
    by_head = [tensor.transpose(1, 2) for tensor in (q, k, v)]
    call = entry.attention_call(shape, dtype, (q, k, v, out))
    return Trial(entry.plan_text(library.brume_attention_plan, call, bench.gpu),
                 caller(bench, library.brume_attention, call, ctypes.byref(bench.gpu)),
                 backends(by_head, ("flash", "cudnn", "efficient")), lambda: exact_rows(bench.torch, by_head, out))


def wide_attention(bench, library, shape, dtype):
    """One head too wide for a kernel: ours takes a cuBLAS handle, and knows the stream from it."""
    q, k, v, out = operands(bench, shape, dtype)
    by_head = [tensor.transpose(1, 2) for tensor in (q, k, v)]
    call = entry.attention_call(shape, dtype, (q, k, v, out))
    scratch = bench.torch.empty(library.brume_wide_workspace(ctypes.byref(call)), dtype=bench.torch.uint8,
                                device=bench.device)

    def ours():
        workspace = ctypes.c_void_p(scratch.data_ptr())
        entry.check(library.brume_wide_attention(ctypes.byref(call), workspace, bench.blas_handle()))

    return Trial("cuBLAS by row blocks", ours, backends(by_head, ("flash", "cudnn", "efficient", "math")),
                 lambda: exact_rows(bench.torch, by_head, out))
