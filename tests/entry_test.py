"""What the plain C entries of kernels/entry*.h refuse, over the host body."""

import ctypes
import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from bench import entry  # noqa: E402

LIBRARY = entry.load_kernels(os.environ["BRUME_HOST_KERNELS"])
WIDE = entry.load_wide(os.environ["BRUME_HOST_KERNELS"])
GPU = entry.BrumeGpu(132, 227 << 10, 228 << 10, 90, 50 << 20)
NO_KERNEL = -1
FLOAT, HALF, BFLOAT16 = 0, 1, 2
NO_ELEMENTS = (-1, 3, 7)
# Room for every tensor here, and zeros as a workspace must begin.
MEMORY = ctypes.create_string_buffer(1 << 20)
ADDRESS = (ctypes.addressof(MEMORY) + 255) // 256 * 256


WORKSPACE = ADDRESS + (1 << 19)


def filled(call):
    """Each tensor has a place of its own."""
    for i in range(len(call.pointers)):
        call.pointers[i] = ADDRESS + (i << 12)
    if hasattr(call, "workspace"):
        call.workspace = WORKSPACE
    return call


def attention(**changed):
    call = entry.BrumeAttention(batch=1, heads=1, queries=2, keys=2, head_dim=40, element=HALF)
    call.strides[:] = [80, 40, 40] * 4
    for name, value in changed.items():
        setattr(call, name, value)
    return filled(call)


def norm(**changed):
    call = entry.BrumeGroupNorm(pictures=1, pixels=4, channels=64, groups=32, element=HALF, eps=1e-5)
    for name, value in changed.items():
        setattr(call, name, value)
    return filled(call)


def without(call, pointer):
    call.pointers[pointer] = None
    return call


def run_attention(call):
    return LIBRARY.brume_attention(ctypes.byref(call), ctypes.byref(GPU), None)


def run_norm(call):
    return LIBRARY.brume_group_norm(ctypes.byref(call), ctypes.byref(GPU), None)


def run_wide(call):
    return WIDE.brume_wide_attention(ctypes.byref(call), ctypes.c_void_p(WORKSPACE), None)


class Elements(unittest.TestCase):
    def test_attention_has_half_precision_alone(self):
        for element in (HALF, BFLOAT16):
            self.assertEqual(run_attention(attention(element=element)), 0)
            self.assertEqual(run_wide(attention(element=element)), 0)
        for element in (FLOAT, *NO_ELEMENTS):
            call = attention(element=element)
            self.assertEqual(run_attention(call), NO_KERNEL)
            self.assertEqual(entry.plan_text(LIBRARY.brume_attention_plan, call, GPU), "no kernel")
            self.assertEqual(run_wide(call), NO_KERNEL)
            self.assertEqual(WIDE.brume_wide_workspace(ctypes.byref(call)), NO_KERNEL)

    def test_group_norm(self):
        for element in (FLOAT, HALF, BFLOAT16):
            self.assertEqual(run_norm(norm(element=element)), 0)
        for element in NO_ELEMENTS:
            call = norm(element=element)
            self.assertEqual(run_norm(call), NO_KERNEL)
            self.assertEqual(LIBRARY.brume_group_norm_workspace(ctypes.byref(call), ctypes.byref(GPU)), NO_KERNEL)
            self.assertEqual(entry.plan_text(LIBRARY.brume_group_norm_plan, call, GPU), "no kernel")

    def test_small_kernels(self):
        calls = ((LIBRARY.brume_layer_norm, entry.BrumeLayerNorm(rows=1, width=8, eps=1e-5)),
                 (LIBRARY.brume_geglu, entry.BrumeGeglu(rows=1, width=8)),
                 (LIBRARY.brume_silu, entry.BrumeSilu(count=8)),
                 (LIBRARY.brume_timestep_embedding, entry.BrumeTimestepEmbedding(count=1, width=8)),
                 (LIBRARY.brume_guided_step, entry.BrumeGuidedStep(count=8)))
        for function, call in calls:
            filled(call)
            for element in (FLOAT, HALF, BFLOAT16):
                call.element = element
                self.assertEqual(function(ctypes.byref(call), None), 0, function.__name__)
            for element in NO_ELEMENTS:
                call.element = element
                self.assertEqual(function(ctypes.byref(call), None), NO_KERNEL, function.__name__)


class Shapes(unittest.TestCase):
    def test_the_wide_head_is_one(self):
        self.assertEqual(run_wide(attention(heads=2)), NO_KERNEL)
        self.assertEqual(WIDE.brume_wide_workspace(ctypes.byref(attention(heads=2))), NO_KERNEL)
        self.assertGreater(WIDE.brume_wide_workspace(ctypes.byref(attention())), 0)

    def test_groups_divide_channels(self):
        for wrong in ({"groups": 0}, {"groups": -1}, {"groups": 7}, {"groups": 128}, {"channels": -64},
                      {"second_channels": -32}, {"second_channels": 65}, {"pixels": -1}, {"pictures": -1}):
            call = norm(**wrong)
            self.assertEqual(run_norm(call), NO_KERNEL, wrong)
            self.assertEqual(LIBRARY.brume_group_norm_workspace(ctypes.byref(call), ctypes.byref(GPU)), NO_KERNEL)
            self.assertEqual(entry.plan_text(LIBRARY.brume_group_norm_plan, call, GPU), "no kernel", wrong)


class Pointers(unittest.TestCase):
    X, SECOND, EMBEDDING, WEIGHT, BIAS, Y = range(6)

    def test_a_norm_needs_all_but_an_embedding(self):
        for pointer in (self.X, self.WEIGHT, self.BIAS, self.Y):
            self.assertEqual(run_norm(without(norm(), pointer)), NO_KERNEL, pointer)
        call = norm()
        call.workspace = None
        self.assertEqual(run_norm(call), NO_KERNEL)
        self.assertEqual(run_norm(without(norm(), self.EMBEDDING)), 0)

    def test_a_part_of_no_channels_lies_nowhere(self):
        self.assertEqual(run_norm(without(norm(), self.SECOND)), 0)
        self.assertEqual(run_norm(without(norm(second_channels=32), self.SECOND)), NO_KERNEL)
        self.assertEqual(run_norm(without(norm(second_channels=64), self.X)), 0)

    def test_no_elements_lie_nowhere(self):
        call = norm(pixels=0)
        call.pointers[:], call.workspace = [None] * 6, None
        self.assertEqual(run_norm(call), 0)


if __name__ == "__main__":
    unittest.main()
