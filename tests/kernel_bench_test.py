"""What of tools/kernel_bench needs neither a GPU nor torch."""

import _ctypes
import ctypes
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = os.environ["BRUME_HOST_KERNELS"]
sys.path.insert(0, str(ROOT / "tools"))
from bench import aims, bounds, entry, gpus, plans, shapes, table  # noqa: E402
from bench.timing import Bench  # noqa: E402


class Field(ctypes.Structure):  # BrumeField of tests/machine/entry_layout.cpp
    _fields_ = [("type", ctypes.c_char_p), ("name", ctypes.c_char_p), ("offset", ctypes.c_size_t),
                ("size", ctypes.c_size_t)]


def compiled_layout():
    """{struct: [(field, offset, size)...]}, a field of no name for the whole."""
    library = ctypes.CDLL(LIBRARY)
    library.brume_entry_layout.restype = ctypes.POINTER(Field)
    fields, layout = library.brume_entry_layout(), {}
    i = 0
    while fields[i].type is not None:
        field = fields[i]
        layout.setdefault(field.type.decode(), []).append((field.name.decode(), field.offset, field.size))
        i += 1
    return layout


def declared_names():
    """{struct: [field...]}, as the headers write them."""
    names = {}
    for header in ("entry.h", "entry_small.h"):
        text = re.sub(r"//.*", "", (ROOT / "kernels" / header).read_text())
        for struct, body in re.findall(r"struct (\w+) \{(.*?)\};", text, re.DOTALL):
            names[struct] = [re.search(r"(\w+)(\[\d+\])?$", declaration.strip()).group(1)
                             for declaration in body.split(";") if declaration.strip()]
    return names


class Layout(unittest.TestCase):
    def test_python_lays_structs_as_the_compiler_does(self):
        ours = {struct.__name__: [*((name, getattr(struct, name).offset, getattr(struct, name).size)
                                    for name, _ in struct._fields_), ("", 0, ctypes.sizeof(struct))]
                for struct in entry.STRUCTS}
        self.assertEqual(ours, compiled_layout())

    def test_no_field_of_the_headers_is_forgotten(self):
        self.assertEqual({struct.__name__: [name for name, _ in struct._fields_] for struct in entry.STRUCTS},
                         declared_names())


def unet(model):
    return next(unet for unet in shapes.UNETS if unet.model == model)


class Shapes(unittest.TestCase):
    def concatenated(self, model):
        return [(norm.channels - norm.second_channels, norm.second_channels, norm.side)
                for norm in shapes.group_norms() if norm.model == model and norm.second_channels]

    def test_concatenations_are_those_of_diffusers(self):
        # UNet2DConditionModel's up blocks: hidden states, then what the way down left.
        self.assertEqual(self.concatenated("sd15-512"), [
            (1280, 1280, 8), (1280, 1280, 16), (1280, 640, 16), (1280, 640, 32), (640, 640, 32), (640, 320, 32),
            (640, 320, 64), (320, 320, 64)])
        self.assertEqual(self.concatenated("sdxl-1024"), [
            (1280, 1280, 32), (1280, 640, 32), (1280, 640, 64), (640, 640, 64), (640, 320, 64), (640, 320, 128),
            (320, 320, 128)])

    def test_time_is_added_before_second_norms(self):
        added = [(norm.channels, norm.side) for norm in shapes.unet_norms(unet("sd15-512")) if norm.embedding]
        # Two blocks a level down, two in the middle, three a level up.
        down = [(320, 64)] * 2 + [(640, 32)] * 2 + [(1280, 16)] * 2 + [(1280, 8)] * 2
        up = [(1280, 8)] * 3 + [(1280, 16)] * 3 + [(640, 32)] * 3 + [(320, 64)] * 3
        self.assertEqual(added, down + [(1280, 8)] * 2 + up)

    def test_norms_of_a_step(self):
        # 61 in SD1.5's UNet and 46 in SDXL's, of which transformers have 16 and 11: those are told once a level.
        for model, residual, transformers in (("sd15-512", 45, 4), ("sdxl-1024", 35, 2)):
            norms = list(shapes.unet_norms(unet(model)))
            self.assertEqual((sum(norm.silu for norm in norms), sum(not norm.silu for norm in norms)),
                             (residual, transformers), model)

    def test_autoencoder_norms(self):
        norms = {(norm.channels, norm.side) for norm in shapes.autoencoder_norms(512)}
        self.assertEqual(norms, {(128, 512), (128, 256), (256, 512), (256, 256), (256, 128), (512, 256), (512, 128),
                                 (512, 64)})

    def test_attentions(self):
        told = {(a.model, a.kind, a.heads, a.queries, a.keys, a.head_dim) for a in shapes.attentions()}
        for wanted in (("sd15-512", "self", 8, 4096, 4096, 40), ("sd15-768", "self", 8, 144, 144, 160),
                       ("sd21-768", "cross", 5, 9216, 77, 64), ("sdxl-1024", "self", 20, 1024, 1024, 64),
                       ("sd15-512", "cross", 8, 4096, 231, 40)):
            self.assertIn(wanted, told)
        self.assertNotIn(16384, [a.queries for a in shapes.attentions()])  # SDXL's first level has none

    def test_nothing_is_told_twice(self):
        for told in (shapes.attentions(), shapes.wide_attentions(), shapes.group_norms(), shapes.smalls()):
            self.assertEqual(len(told), len(set(told)))


H200 = gpus.sheet_peaks("NVIDIA H200", 132)
A100 = gpus.sheet_peaks("NVIDIA A100-SXM4-40GB", 108)


class Bounds(unittest.TestCase):
    def least(self, shape, peaks):
        return bounds.least_time(bounds.work_of(shape), peaks, bounds.LAUNCH_ON_PAPER)

    def near(self, bound, microseconds, binds):
        self.assertEqual(bound.binds, binds)
        self.assertAlmostEqual(bound.microseconds / microseconds, 1, delta=2e-3)

    def test_self_attention(self):
        shape = shapes.Attention("", "self", 2, 8, 4096, 4096, 40)
        # 16 heads x 4096^2 scores; 4 x 40 FLOP each; q, k, v and out of 2 x 4096 x 320 halves.
        self.assertEqual(bounds.work_of(shape), bounds.Work(4 * 2 * 4096 * 320 * 2, 42949672960, 268435456))
        self.near(self.least(shape, A100), 137.66, "products")  # 42.95e9 / 312e12
        self.near(self.least(shape, H200), 69.45, "exponentials")  # 268.4e6 / (132 x 16 x 1.83e9)

    def test_cross_attention_is_bound_by_memory(self):
        shape = shapes.Attention("", "cross", 2, 8, 4096, 77, 40)
        self.near(self.least(shape, A100), 6.869, "memory")  # 2 x 8 x 2 x 4173 x 40 halves = 10.68 MB / 1555 GB/s

    def test_group_norm(self):
        shape = shapes.GroupNorm("", 1, 128, 0, 1024, True, False)
        self.near(self.least(shape, H200), 111.85, "memory")  # 2 x 134217728 halves / 4.8 TB/s
        small = shapes.GroupNorm("", 2, 1280, 0, 8, True, True)
        self.near(self.least(small, H200), 2, "launch")
        # 2 x 128 x 1280 x 2 halves, weight and bias, and an embedding for each picture.
        self.assertEqual(bounds.work_of(small).bytes, 2 * (2 * 2 * 64 * 1280 + 2 * 1280 + 2 * 1280))

    def test_a_concatenation_moves_what_its_whole_does(self):
        whole = shapes.GroupNorm("", 2, 960, 0, 64, True, False)
        self.assertEqual(bounds.work_of(whole), bounds.work_of(whole._replace(second_channels=320)))

    def test_small_kernels_move_what_their_headers_say(self):
        def megabytes(shape):
            return round(bounds.work_of(shape).bytes / 1e6, 1)

        self.assertEqual(megabytes(shapes.LayerNorm("", 8192, 320, True)), 21.0)
        self.assertEqual(megabytes(shapes.LayerNorm("", 8192, 320, False)), 10.5)
        self.assertEqual(megabytes(shapes.Geglu("", 8192, 1280)), 62.9)
        self.assertEqual(megabytes(shapes.Silu("", 2 * 4096 * 320)), 10.5)
        self.assertEqual(megabytes(shapes.GuidedStep("", 4 * 128**2, False)), 0.8)
        self.assertEqual(bounds.work_of(shapes.GuidedStep("", 100, True)).bytes, 1600)
        self.assertEqual(bounds.work_of(shapes.TimestepEmbedding("", 2, 320)).bytes, 2 * 4 + 2 * 320 * 2)

    def test_sheets_agree_with_their_clocks(self):
        capabilities = {"A100": 80, "3090": 86, "4090": 89, "L40S": 89, "H100": 90, "H200": 90, "5090": 120}
        for sheet in gpus.SHEETS:
            capability = next(c for part, c in capabilities.items() if part in sheet.names[0])
            derived = gpus.derived_peaks(sheet.names[0], sheet.multiprocessors, capability, sheet.megahertz, 0)
            self.assertAlmostEqual(derived.products / sheet.peaks().products, 1, delta=0.015, msg=sheet.names)
            self.assertEqual(derived.specials, sheet.peaks().specials)

    def test_a_part_of_a_known_gpu_is_unknown(self):
        self.assertIsNone(gpus.sheet_peaks("NVIDIA H200", 60))
        self.assertIsNone(gpus.sheet_peaks("NVIDIA H300", 132))
        part = gpus.derived_peaks("NVIDIA H200", 66, 90, 1830, 2400)
        self.assertAlmostEqual(part.products, H200.products / 2, delta=1e11)
        self.assertEqual(part.bandwidth, 2400e9)
        self.assertIn("measured", part.source)

    def test_an_unknown_capability_says_what_it_is_taken_for(self):
        self.assertIn("taken to be those of compute capability 8.6", gpus.derived_peaks("x", 10, 87, 1000, 100).source)


def made_up_row(shape, microseconds, bound=1.0, copy=1000):
    work = bounds.work_of(shape)
    row = {**shape._asdict(), "label": shape.label(), "plan": "some plan", "microseconds": microseconds,
           "refused": {"cudnn": "no"}, "bound": {"microseconds": bound, "binds": "memory"},
           "gigabytes_a_second": {name: work.bytes / time / 1e3 for name, time in microseconds.items()},
           "teraflops": {name: work.flop / time / 1e6 for name, time in microseconds.items()},
           "share_of_bound": bound / microseconds["ours"]}
    return {**row, "aim": aims.aim(shape, row, copy)}


class Aims(unittest.TestCase):
    plain = shapes.Attention("m", "self", 2, 10, 4096, 4096, 64)

    def met(self, shape, **microseconds):
        return made_up_row(shape, microseconds)["aim"]["met"]

    def test_the_fastest_other_counts(self):
        self.assertTrue(self.met(self.plain, ours=10, flash=10, efficient=20))
        self.assertFalse(self.met(self.plain, ours=10, flash=20, efficient=9))

    def test_more_is_asked_at_head_dim_40_and_at_77_keys(self):
        for shape in (self.plain._replace(head_dim=40), self.plain._replace(kind="cross", keys=77)):
            self.assertTrue(self.met(shape, ours=10, flash=13))
            self.assertFalse(self.met(shape, ours=10, flash=12.9))

    def test_nothing_to_compare_is_no_verdict(self):
        self.assertIsNone(self.met(self.plain, ours=10))

    def test_large_norms_must_reach_the_bandwidth_of_a_copy(self):
        large = shapes.GroupNorm("m", 1, 128, 0, 512, True, False)  # 67.1 MB: 134.2 us at 1000 GB/s
        self.assertTrue(self.met(large, ours=134.3 / 0.81, aten=1000))
        self.assertFalse(self.met(large, ours=134.2 / 0.79, aten=1000))
        self.assertFalse(self.met(large, ours=134.3 / 0.81, aten=100))
        self.assertFalse(self.met(large, ours=134.2 / 0.79))
        self.assertTrue(self.met(large._replace(side=256), ours=1000, aten=1001))  # 16.8 MB

    def result(self):
        norm = shapes.GroupNorm("m", 1, 128, 0, 512, True, False)
        return {"gpu": "G", "torch": "2", "capability": 90, "dtype": "fp16", "rounds": 3,
                "copy_gigabytes_a_second": 1000, "launch_microseconds": 2.2, "peaks": H200._asdict(),
                "attention": [made_up_row(self.plain, {"ours": 100, "flash": 110}, bound=80)],
                "group_norm": [made_up_row(norm, {"ours": 170, "aten": 500}, bound=134)],
                "small": [made_up_row(shapes.Silu("m", 2560), {"ours": 2})]}

    def test_summary(self):
        result = self.result()
        self.assertEqual(aims.summary(result), "1 of 2 aims met, 1 with nothing to compare; missed: "
                                               "m norm 1x512x512x128 SiLU")
        result["capability"] = 89
        self.assertTrue(aims.summary(result).endswith("(the aims are for an H100 or H200)"))

    def test_table(self):
        text = table.markdown(self.result())
        attention = next(line for line in text.splitlines() if "4096x4096" in line)
        self.assertEqual(attention, "| m | self 2x10x4096x4096 d 64 | 100.0 (859 TF/s) | 110.0 (781 TF/s) | refused "
                                    "|  |  | 419 | 80.0 memory | 80 % | 1.10 / 1.0 | met | some plan |")
        norm = next(line for line in text.splitlines() if "512x512" in line)
        self.assertIn("| 79 % / 80 % | 134.0 memory | 79 % | 2.94 / 1.0 | missed |", norm)
        for heads in (line for line in text.splitlines() if line.startswith("| model")):
            width = heads.count("|")
            rows = text[text.index(heads):].split("\n\n")[0].splitlines()
            self.assertEqual({row.count("|") for row in rows}, {width})
        self.assertEqual(text.splitlines()[-1], aims.summary(self.result()))


class Times(unittest.TestCase):
    def bench(self):
        bench = Bench.__new__(Bench)
        bench.rounds = 3
        bench.once = lambda work: work()
        return bench

    @staticmethod
    def refuse():
        raise RuntimeError("no kernel\nat all")

    def test_an_other_that_refuses_is_left_out(self):
        times, refused = self.bench().times(lambda: 5.0, {"good": lambda: 7.0, "bad": self.refuse})
        self.assertEqual((times, refused), ({"ours": 5.0, "good": 7.0}, {"bad": "no kernel"}))

    def test_ours_may_not_refuse(self):
        with self.assertRaisesRegex(RuntimeError, "no kernel"):
            self.bench().times(self.refuse, {})

    def test_warm_ups_do_not_count(self):
        taken = iter([100, 100, 1, 2, 3])
        self.assertEqual(self.bench().times(lambda: next(taken), {})[0], {"ours": 2})


class Plans(unittest.TestCase):
    def test_every_shape_has_a_plan_and_a_bound(self):
        lines = list(plans.lines(entry.load_kernels(LIBRARY)))
        told = shapes.attentions() + shapes.wide_attentions() + shapes.group_norms() + shapes.smalls()
        self.assertEqual(len(lines), len(plans.GPUS) * len(told))
        self.assertFalse([line for line in lines if "no kernel" in line])

    def test_a_reader_may_leave(self):
        command = f"'{sys.executable}' tools/kernel_bench --plans --library '{LIBRARY}' | head -1"
        done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
        self.assertEqual((len(done.stdout.splitlines()), done.stderr), (1, ""))

    def error_of(self, arguments, to=os.devnull):
        """The last line that it says; no other but what argparse says of the usage."""
        with open(to, "w") as output:
            done = subprocess.run([sys.executable, "tools/kernel_bench", *arguments], cwd=ROOT, stdout=output,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("Traceback", done.stderr)
        *before, last = done.stderr.splitlines()
        self.assertTrue(not before or before[0].startswith("usage:"), done.stderr)
        return last

    def test_what_cannot_be_is_one_line(self):
        self.assertIn("argument --rounds: 0 is none", self.error_of(["--rounds", "0"]))
        other = _ctypes.__file__  # a library, but not ours
        for path in (str(ROOT / "README.md"), other):
            self.assertIn("is no library of our kernels", self.error_of(["--plans", "--library", path]))

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_output_that_does_not_go_out_is_one_line(self):
        self.assertEqual(self.error_of(["--plans", "--library", LIBRARY], to="/dev/full"),
                         "kernel_bench: [Errno 28] No space left on device")


class NoElements(unittest.TestCase):
    def test_small_kernels_do_nothing(self):
        library = entry.load_kernels(LIBRARY)
        for rows, width in ((0, 320), (3, 0), (0, 0)):
            for kernel, call in ((library.brume_layer_norm, entry.BrumeLayerNorm(rows=rows, width=width)),
                                 (library.brume_geglu, entry.BrumeGeglu(rows=rows, width=width)),
                                 (library.brume_silu, entry.BrumeSilu(count=0)),
                                 (library.brume_timestep_embedding,
                                  entry.BrumeTimestepEmbedding(count=rows, width=width)),
                                 (library.brume_guided_step, entry.BrumeGuidedStep(count=0))):
                self.assertEqual(kernel(ctypes.byref(call), None), 0, (kernel, rows, width))

    def test_rows_that_do_not_fit_are_an_error(self):
        call = entry.BrumeLayerNorm(rows=3, width=(48 << 10) // 4 + 1)
        self.assertEqual(entry.load_kernels(LIBRARY).brume_layer_norm(ctypes.byref(call), None), 1)


if __name__ == "__main__":
    unittest.main()
