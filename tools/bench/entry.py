"""Our kernels as Python sees them: the structs of kernels/entry.h and entry_small.h, and calls on tensors.

tests/kernel_bench_test.py holds the structs to the compiler's.
"""

import ctypes
from ctypes import c_float, c_int32, c_int64, c_void_p

ELEMENTS = {"fp16": 1, "bf16": 2}  # kernels::Element


class BrumeGpu(ctypes.Structure):
    _fields_ = [("multiprocessors", c_int32), ("shared_bytes_a_block", c_int32),
                ("shared_bytes_a_multiprocessor", c_int32), ("capability", c_int32), ("l2_bytes", c_int64)]


class BrumeAttention(ctypes.Structure):
    _fields_ = [("pointers", c_void_p * 4), ("strides", c_int64 * 12), ("batch", c_int32), ("heads", c_int32),
                ("queries", c_int32), ("keys", c_int32), ("head_dim", c_int32), ("element", c_int32)]


class BrumeGroupNorm(ctypes.Structure):
    _fields_ = [("pointers", c_void_p * 6), ("workspace", c_void_p), ("pictures", c_int32), ("pixels", c_int32),
                ("channels", c_int32), ("second_channels", c_int32), ("groups", c_int32), ("element", c_int32),
                ("silu", c_int32), ("eps", c_float)]


class BrumeLayerNorm(ctypes.Structure):
    _fields_ = [("pointers", c_void_p * 6), ("rows", c_int32), ("width", c_int32), ("element", c_int32),
                ("eps", c_float)]


class BrumeGeglu(ctypes.Structure):
    _fields_ = [("pointers", c_void_p * 2), ("rows", c_int32), ("width", c_int32), ("element", c_int32)]


class BrumeSilu(ctypes.Structure):
    _fields_ = [("pointers", c_void_p * 2), ("count", c_int64), ("element", c_int32)]


class BrumeTimestepEmbedding(ctypes.Structure):
    _fields_ = [("pointers", c_void_p * 2), ("count", c_int32), ("width", c_int32), ("element", c_int32),
                ("cosine_first", c_int32), ("freq_shift", c_float)]


class BrumeGuidedStep(ctypes.Structure):
    _fields_ = [("pointers", c_void_p * 7), ("count", c_int64), ("element", c_int32)]


STRUCTS = (BrumeGpu, BrumeAttention, BrumeGroupNorm, BrumeLayerNorm, BrumeGeglu, BrumeSilu, BrumeTimestepEmbedding,
           BrumeGuidedStep)


def load_kernels(path):
    library = ctypes.CDLL(str(path))
    library.brume_group_norm_workspace.restype = c_int64
    return library


def load_wide(path):
    library = ctypes.CDLL(str(path))
    library.brume_wide_workspace.restype = c_int64
    return library


def check(code):
    if code != 0:
        raise RuntimeError(f"our kernel gives error {code}")


def with_pointers(call, tensors):
    """`tensors` in the struct's order, None for a null pointer."""
    for i, tensor in enumerate(tensors):
        call.pointers[i] = None if tensor is None else tensor.data_ptr()
    return call


def attention_call(shape, dtype, tensors=()):
    """q, k, v and out [batch, tokens, heads, head_dim] by their strides."""
    call = BrumeAttention(batch=shape.batch, heads=shape.heads, queries=shape.queries, keys=shape.keys,
                          head_dim=shape.head_dim, element=ELEMENTS[dtype])
    for i, tensor in enumerate(tensors):
        call.strides[3 * i:3 * i + 3] = tensor.stride()[:3]
    return with_pointers(call, tensors)


def norm_call(shape, dtype, groups, tensors=()):
    return with_pointers(
        BrumeGroupNorm(pictures=shape.batch, pixels=shape.side**2, channels=shape.channels, groups=groups, eps=1e-5,
                       second_channels=shape.second_channels, element=ELEMENTS[dtype], silu=int(shape.silu)), tensors)


def plan_text(plan, call, gpu):
    """What brume_*_plan says."""
    text = ctypes.create_string_buffer(200)
    if plan(ctypes.byref(call), ctypes.byref(gpu), text, len(text)) != 0:
        return "no kernel"
    return text.value.decode()
