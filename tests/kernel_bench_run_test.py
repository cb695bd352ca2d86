"""tools/kernel_bench from its arguments to its table, on the CPU.

Our kernels run on the host body behind the entries that a GPU has, PyTorch's own on CPU tensors, and a clock stands for
CUDA events. The shapes are small; all else is as on a GPU, the comparison with float64 too.
"""

import contextlib
import functools
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import sys
import tempfile
import time
import types
import unittest
from unittest import mock

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = pathlib.Path(os.environ["BRUME_HOST_KERNELS"])
LOADER = importlib.machinery.SourceFileLoader("kernel_bench", str(ROOT / "tools/kernel_bench"))
kernel_bench = importlib.util.module_from_spec(importlib.util.spec_from_loader("kernel_bench", LOADER))
LOADER.exec_module(kernel_bench)
from bench import shapes, timing, trial  # noqa: E402: tools/kernel_bench has made its folder known

ATTENTIONS = [shapes.Attention("tiny", "self", 2, 2, 130, 130, 40),
              shapes.Attention("tiny", "self", 1, 1, 300, 300, 64),
              shapes.Attention("tiny", "cross", 2, 2, 70, 77, 80)]
WIDE = [shapes.Attention("tiny", "wide", 1, 1, 48, 48, 512)]
NORMS = [shapes.GroupNorm("tiny", 2, 64, 0, 5, True, False), shapes.GroupNorm("tiny", 1, 64, 0, 4, False, False),
         shapes.GroupNorm("tiny", 2, 960, 320, 3, True, False), shapes.GroupNorm("tiny", 2, 320, 0, 3, True, True)]
SMALLS = [shapes.LayerNorm("tiny", 9, 320, False), shapes.LayerNorm("tiny", 9, 320, True),
          shapes.Geglu("tiny", 7, 1280), shapes.Silu("tiny", 1000), shapes.TimestepEmbedding("tiny", 2, 320),
          shapes.TimestepEmbedding("tiny", 12, 256), shapes.GuidedStep("tiny", 500, False),
          shapes.GuidedStep("tiny", 500, True)]


class ClockEvent:
    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.time = time.perf_counter()

    def elapsed_time(self, other):
        return (other.time - self.time) * 1e3


def gpu_like(**numbers):
    """What torch tells of a GPU; an attribute that torch does not have is an error."""
    return mock.Mock(spec_set=torch._C._CudaDeviceProperties, **numbers)


H200 = {"multi_processor_count": 132, "shared_memory_per_block_optin": 227 << 10, "major": 9, "minor": 0,
        "shared_memory_per_multiprocessor": 228 << 10, "L2_cache_size": 50 << 20, "clock_rate": 1980000}
A100 = {**H200, "multi_processor_count": 108, "shared_memory_per_block_optin": 163 << 10, "major": 8,
        "shared_memory_per_multiprocessor": 164 << 10}


@contextlib.contextmanager
def pretended_gpu(name, numbers, **told):
    properties = gpu_like(**numbers)
    properties.name = name
    wanted = {"attentions": ATTENTIONS, "wide_attentions": WIDE, "group_norms": NORMS, "smalls": SMALLS, **told}
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.multiple(
            torch.cuda, Event=ClockEvent, _sleep=lambda clocks: None, synchronize=lambda: None,
            is_available=lambda: True, get_device_properties=lambda device: properties, current_blas_handle=lambda: 0,
            current_stream=lambda: types.SimpleNamespace(cuda_stream=0)))
        stack.enter_context(mock.patch.multiple(timing, FLUSHED=1 << 10, COPIED=1 << 20))
        stack.enter_context(mock.patch.multiple(
            shapes, **{name: lambda shape_list=shape_list: shape_list for name, shape_list in wanted.items()}))
        stack.enter_context(mock.patch.object(kernel_bench, "Bench", functools.partial(timing.Bench, device="cpu")))
        yield


def run(*arguments):
    """The result, the table, and what was printed."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        for name in ("libbrume_kernels.so", "libbrume_wide.so"):
            (out / name).symlink_to(LIBRARY)
        argv = ["kernel_bench", str(out / "out"), "--library", str(out / "libbrume_kernels.so"), "--rounds", "3"]
        printed = io.StringIO()
        with mock.patch.object(sys, "argv", [*argv, *arguments]), contextlib.redirect_stdout(printed), \
                contextlib.redirect_stderr(io.StringIO()):
            kernel_bench.main()
        return (json.loads((out / "out/kernels.json").read_text()), (out / "out/kernels.md").read_text(),
                printed.getvalue())


class Run(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)

    def expect_whole(self, result, table, printed):
        self.assertEqual([len(result[family]) for family in ("attention", "group_norm", "small")],
                         [len(ATTENTIONS) + len(WIDE), len(NORMS), len(SMALLS)])
        for row in result["attention"] + result["group_norm"] + result["small"]:
            self.assertGreater(row["microseconds"]["ours"], 0)
            self.assertIsNotNone(row["aim"]["met"], row)  # something to compare with ran here
            self.assertGreater(row["magnitude"], 0)
            self.assertIn(f"| {row['label']} |", table)
        self.assertEqual(printed.splitlines()[-1], result["summary"])

    def test_on_a_known_gpu(self):
        with pretended_gpu("NVIDIA H200", H200):
            result, table, printed = run()
        self.expect_whole(result, table, printed)
        self.assertEqual(result["peaks"]["bandwidth"], 4.8e12)
        self.assertTrue(result["attention"][1]["plan"].startswith("hopper"))
        self.assertIn("cudnn", result["attention"][0]["refused"])  # no CUDA here
        self.assertEqual(set(result["attention"][-1]["microseconds"]) >= {"ours", "math"}, True)

    def test_on_an_unknown_gpu_in_bf16(self):
        with pretended_gpu("NVIDIA Something", A100):
            result, table, printed = run("--dtype", "bf16")
        self.expect_whole(result, table, printed)
        self.assertIn("measured copy bandwidth", table)
        self.assertTrue(result["attention"][1]["plan"].startswith("streamed"))
        self.assertAlmostEqual(result["peaks"]["products"], 108 * 2048 * 1.98e9, delta=1e6)

    def test_a_shape_that_ours_refuses_ends_it(self):
        with pretended_gpu("NVIDIA H200", H200, attentions=[ATTENTIONS[0]._replace(head_dim=48)]), \
                self.assertRaisesRegex(SystemExit, "tiny self 2x2x130x130 d 48 fp16: our kernel gives error -1"):
            run()

    def test_a_wrong_result_ends_it(self):
        with pretended_gpu("NVIDIA H200", H200), mock.patch.dict(trial.TOLERANCE, fp16=0), \
                self.assertRaisesRegex(SystemExit, "ours is wrong by"):
            run()


if __name__ == "__main__":
    unittest.main()
