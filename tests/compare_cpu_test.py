"""What of tools/compare_cpu needs no torch: the order of the runs, the figures, the verdicts, the table."""

import json
import math
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from compare import aims, contestants, latents, processes, rounds, summary, table  # noqa: E402
from compare.contestants import KNOWN, Programs, Task  # noqa: E402

TASK = Task(pathlib.Path("model"), 512, 256, 2, 4)
PROGRAMS = Programs(pathlib.Path("brume"), pathlib.Path("sd-cli"), pathlib.Path("python"))
BENCH = {"samples": {"unet_step_ms": [700, 720]}, "load_ms": 9,
         "components": {"vae_decode": {"median_ms": 400, "gflop": 80}, "unet_step": {"gflop": 142}}}
PEER = {"steps_ms": [1000, 1040], "decode_ms": 500, "load_ms": 7}


def ended(output="", code=0, timed_out=False, errors="", peak=2 << 30):
    return processes.Ended(["x"], code, output, errors, 1.0, peak, timed_out)


def entry(name, steps, decodes, peak=2 << 30, problem=None):
    """As rounds.measure leaves it: `steps` a list a round."""
    gflop = {"step_gflop": 142, "decode_gflop": 80} if name.startswith("brume") else {}
    runs = [{"steps_ms": step, "decode_ms": decode, "peak_bytes": peak, **gflop}
            for step, decode in zip(steps, decodes)]
    return {**rounds.new_entry(KNOWN[name]), "runs": runs, "problem": problem}


def size_of(*entries, agreement=()):
    return {"width": 512, "height": 256, "contestants": list(entries), "agreement": list(agreement)}


def result_of(*sizes):
    return {"model_name": "sd15", "machine": {"processor": "CPU", "cores": 4}, "threads": 4, "rounds": 1, "steps": 2,
            "versions": {"brume": "brume 1", "diffusers": "2", "torch": "3"}, "sizes": list(sizes)}


def measured(brume_step=700, brume_decode=375):
    return size_of(entry("brume-fp32", [[800, 800]], [400]), entry("brume-bf16", [[brume_step] * 2], [brume_decode]),
                   entry("diffusers-fp32", [[1000, 1000]], [500]), entry("diffusers-bf16", [[2000, 2000]], [600]))


class Contestants(unittest.TestCase):
    def test_are_chosen_by_name(self):
        self.assertEqual([one.name for one in contestants.chosen(None, False)], list(contestants.DEFAULT))
        self.assertEqual(contestants.chosen(None, True)[-1].name, "sd-cli")
        self.assertEqual([one.name for one in contestants.chosen("diffusers-bf16,brume-bf16", False)],
                         ["diffusers-bf16", "brume-bf16"])
        for wrong, said in (("brume", "'brume'"), ("sd-cli", "--sd-cli"), ("brume-fp32,brume-fp32", "twice")):
            with self.assertRaisesRegex(ValueError, said):
                contestants.chosen(wrong, False)

    def test_all_are_told_the_same_work(self):
        for one in KNOWN.values():
            words = contestants.command(one, TASK, PROGRAMS, pathlib.Path("scratch"))
            for value in ("model", "512", "256", "2", "4"):
                self.assertIn(value, words, one.name)

    def test_what_they_say_is_read(self):
        ours = contestants.read_sample(KNOWN["brume-bf16"], TASK, json.dumps(BENCH, indent=2))
        self.assertEqual((ours.steps_ms, ours.decode_ms), ([700, 720], 400))
        self.assertEqual((ours.step_gflop, ours.decode_gflop), (142, 80))
        theirs = contestants.read_sample(KNOWN["diffusers-fp32"], TASK, "a warning\n" + json.dumps(PEER) + "\n")
        self.assertEqual((theirs.steps_ms, theirs.decode_ms, theirs.step_gflop), ([1000, 1040], 500, None))
        log = "[INFO ] x.cpp:1 - sampling completed, taking 8.50s\n[INFO ] x.cpp:2 - latent 1 decoded, taking 1.9s\n" \
              "[INFO ] x.cpp:3 - decode_first_stage completed, taking 2.00s\n"
        other = contestants.read_sample(KNOWN["sd-cli"], TASK, log)
        self.assertEqual((other.steps_ms, other.decode_ms), ([4250], 2000))

    def test_what_is_not_understood_is_an_error(self):
        for name, output in (("brume-fp32", "{}"), ("brume-fp32", "no"), ("diffusers-fp32", ""), ("sd-cli", "hello")):
            with self.assertRaises(ValueError, msg=name):
                contestants.read_sample(KNOWN[name], TASK, output)


class Rounds(unittest.TestCase):
    def setUp(self):
        self.order = []
        rounds.say, self.say = lambda line: None, rounds.say

    def tearDown(self):
        rounds.say = self.say

    def run_as(self, answers):
        """A runner that knows a contestant by its command; `answers` replaces what some of them give."""
        def run(command, environment=None, timeout=None):
            text = " ".join(command)
            name = "brume" if command[0] == "brume" else "compile" if "--only-compile" in text else \
                "compiled" if "--compile" in text else "diffusers"
            self.order.append(name)
            self.assertEqual(environment != {}, name.startswith("compile"))
            said = {"brume": BENCH, "compile": {"compile_seconds": 60}}.get(name, PEER)
            return answers.get(name) or ended(json.dumps(said))
        return run

    def measure(self, **answers):
        chosen = [KNOWN[name] for name in ("brume-bf16", "diffusers-fp32", "diffusers-compiled")]
        size = rounds.measure(chosen, TASK, PROGRAMS, rounds.Limits(2, 30), self.run_as(answers))
        return {one["name"]: one for one in size["contestants"]}

    def test_they_take_turns(self):
        entries = self.measure()
        self.assertEqual(self.order, ["compile", *["brume", "diffusers", "compiled"] * 2])
        self.assertEqual(entries["diffusers-compiled"]["compile_seconds"], 60)
        self.assertEqual([run["steps_ms"] for run in entries["brume-bf16"]["runs"]], [[700, 720]] * 2)
        self.assertIn("bench -m model", entries["brume-bf16"]["runs"][0]["command"])

    def test_who_does_not_compile_in_time_is_left_out(self):
        entries = self.measure(compile=ended(code=-9, timed_out=True))
        self.assertEqual(self.order, ["compile", *["brume", "diffusers"] * 2])
        self.assertEqual(entries["diffusers-compiled"]["problem"], "did not compile in 30 s")
        self.assertFalse(entries["diffusers-compiled"]["failed"])

    def test_who_fails_leaves_with_the_reason(self):
        entries = self.measure(diffusers=ended(code=1, errors="Traceback\nno memory\n"), brume=ended("{}"))
        self.assertEqual(self.order, ["compile", "brume", "diffusers", "compiled", "compiled"])
        self.assertEqual(entries["diffusers-fp32"]["problem"], "exit code 1: no memory")
        self.assertIn("not understood", entries["brume-bf16"]["problem"])
        self.assertTrue(entries["brume-bf16"]["failed"])


class Figures(unittest.TestCase):
    def rows(self, size):
        return {row.name: row for row in summary.rows_of(size)}

    def test_medians_are_over_all_rounds(self):
        row = self.rows(size_of(entry("brume-fp32", [[10, 30], [20, 90], [20, 20]], [5, 7, 6])))["brume-fp32"]
        self.assertEqual(row.step, summary.Times(20, 10, 90))
        self.assertEqual(row.decode, summary.Times(6, 5, 7))
        self.assertEqual(row.step_rate, 7100)
        self.assertIsNone(row.step_ratio)

    def test_ratios_are_to_the_fastest_of_the_class(self):
        rows = self.rows(size_of(entry("brume-fp32", [[900]], [450]), entry("brume-bf16", [[350]], [450]),
                                 entry("diffusers-fp32", [[1000]], [500]), entry("diffusers-bf16", [[500]], [900]),
                                 entry("sd-cli", [[100]], [100])))
        self.assertEqual((rows["brume-fp32"].step_ratio, rows["brume-fp32"].decode_ratio), (0.9, 0.9))
        self.assertEqual((rows["brume-bf16"].step_ratio, rows["brume-bf16"].decode_ratio), (0.7, 0.9))
        self.assertEqual(rows["sd-cli"].step_ratio, 0.2)
        self.assertEqual(rows["diffusers-bf16"].step_rate, 284)

    def test_who_left_is_no_rival(self):
        rows = self.rows(size_of(entry("brume-bf16", [[900]], [9]), entry("diffusers-fp32", [[1000]], [9]),
                                 entry("diffusers-compiled", [[1]], [1], problem="killed")))
        self.assertEqual(rows["brume-bf16"].step_ratio, 0.9)

    def test_times_that_vary_are_named(self):
        rows = summary.rows_of(size_of(entry("brume-fp32", [[100, 124]], [5]), entry("brume-bf16", [[100, 300]], [5])))
        self.assertEqual([summary.unsettled(row) for row in rows], [[], ["brume-bf16's steps vary 3.0-fold"]])


class Verdicts(unittest.TestCase):
    def met(self, size):
        return [verdict.met for verdict in aims.verdicts(summary.rows_of(size))]

    def test_at_the_limit_is_met(self):
        self.assertEqual(self.met(measured()), [True] * 6)

    def test_above_it_is_missed(self):
        self.assertEqual(self.met(measured(brume_step=701)), [True, True, True, False, True, True])
        self.assertEqual(self.met(measured(brume_decode=376)), [True, True, True, True, False, True])

    def test_memory_is_held_against_the_least(self):
        size = size_of(entry("brume-bf16", [[1]], [1], peak=3 << 30), entry("diffusers-fp32", [[2]], [2], peak=4 << 30),
                       entry("diffusers-bf16", [[2]], [2], peak=2 << 30))
        self.assertEqual(self.met(size), [True, True, False])

    def test_without_a_rival_nothing_is_judged(self):
        self.assertEqual(self.met(size_of(entry("brume-fp32", [[1]], [1]), entry("diffusers-bf16", [[1]], [1]))),
                         [None] * 3)
        self.assertEqual(self.met(size_of(entry("diffusers-fp32", [[1]], [1]))), [])


def write_latents(path, values, dtype="F32"):
    header = json.dumps({"latents": {"dtype": dtype, "shape": [len(values)], "data_offsets": [0, 4 * len(values)]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + struct.pack(f"<{len(values)}f", *values))


class Latents(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        latents.say, said = lambda line: None, latents.say
        self.addCleanup(setattr, latents, "say", said)

    def test_files_are_read_without_torch(self):
        write_latents(self.folder / "a", [1, -2.5])
        self.assertEqual(latents.read_latents(self.folder / "a"), [1, -2.5])
        write_latents(self.folder / "b", [1], "F16")
        with self.assertRaisesRegex(ValueError, "F16"):
            latents.read_latents(self.folder / "b")

    def test_errors_are_in_standard_deviations(self):
        self.assertEqual(latents.largest_error([-2, 2], [-2, 2.5]), 0.25)
        self.assertEqual(latents.largest_error([-2, 2], [math.nan, 2]), math.inf)
        with self.assertRaises(ValueError):
            latents.largest_error([-2, 2], [1])

    def test_each_dtype_has_its_limit(self):
        for dtype, error, agrees in (("fp32", 1e-3, True), ("fp32", 1.1e-3, False), ("bf16", 0.1, True),
                                     ("bf16", 0.11, False), ("bf16", math.inf, False)):
            self.assertEqual(latents.judge("x", dtype, error)["agrees"], agrees, (dtype, error))
        self.assertEqual(latents.judge("x", "bf16", math.inf)["problem"], "not finite")

    def test_each_is_held_against_fp32(self):
        def run(command):
            last = command[command.index("--save-latents" if command[0] == "brume" else "--last") + 1]
            write_latents(pathlib.Path(last), [-1, 1.05] if "bf16" in command else [-1, 1])
            return ended()
        chosen = [KNOWN[name] for name in ("brume-fp32", "brume-bf16", "diffusers-bf16", "diffusers-compiled")]
        found = {one["name"]: one for one in latents.check(chosen, TASK, PROGRAMS, run)}
        self.assertEqual([one["agrees"] for one in found.values()], [True] * 3)
        self.assertEqual(found["brume-fp32"]["error"], 0)
        self.assertAlmostEqual(found["brume-bf16"]["error"], 0.05, places=6)

    def test_without_a_reference_none_agrees(self):
        found = latents.check([KNOWN["brume-fp32"]], TASK, PROGRAMS, lambda command: ended(code=1, errors="no torch"))
        self.assertEqual(found[0]["problem"], "no reference: exit code 1: no torch")
        self.assertFalse(found[0]["agrees"])


class Table(unittest.TestCase):
    def test_holds_figures_and_verdicts(self):
        text = table.markdown(result_of({**measured(), "agreement": [latents.judge("brume-bf16", "bf16", 0.02)]}))
        for line in ("| 512x256 | brume-bf16 | 700 (700 to 700) | 0.70 | 203 | 375 (375 to 375) | 0.75 | 213 | 2.00 "
                     "| 2.0e-02 |",
                     "| 512x256 | diffusers-bf16 | 2,000 (2,000 to 2,000) | 2.00 | 71 | 600 (600 to 600) | 1.20 | 133 "
                     "| 2.00 | - |",
                     "- 512x256, brume-bf16: step in at most 0.70 of the fastest diffusers: met "
                     "(0.70 of diffusers-fp32)"):
            self.assertIn(line + "\n", text)
        cells = [line.count("|") for line in text.splitlines() if line.startswith("|")]
        self.assertEqual(set(cells), {11})
        for word in ("UNSETTLED", "SHARED"):
            self.assertNotIn(word, text)

    def test_says_that_the_machine_was_shared(self):
        size = measured()
        size["contestants"][1]["runs"][0]["load_average_before"] = 6.1
        self.assertIn("SHARED, other programs wanted the processor, too: load average 6.1 on 4 cores",
                      table.markdown(result_of(size)))

    def test_says_what_is_wrong(self):
        text = table.markdown(result_of(size_of(
            entry("brume-fp32", [[100, 300]], [1]),
            entry("diffusers-compiled", [], [], problem="did not compile in 900 s"),
            agreement=[latents.judge("brume-fp32", "fp32", 0.5)])))
        for part in ("diffusers-compiled | did not compile in 900 s |", "**5.0e-01, above 0.001**", "LATENTS DIFFER",
                     "UNSETTLED", "not judged (no rival's time in this run)"):
            self.assertIn(part, text)


class Processes(unittest.TestCase):
    def test_output_and_memory_are_kept(self):
        done = processes.run([sys.executable, "-c", "b = bytearray(1 << 27); print('hello')"], {"SOME": "thing"})
        self.assertEqual((done.output, done.code, done.problem()), ("hello\n", 0, None))
        self.assertGreater(done.peak_bytes, 1 << 27)
        self.assertLess(done.peak_bytes, 1 << 28)

    def test_a_failure_is_one_line(self):
        done = processes.run([sys.executable, "-c", "import sys; sys.exit('it broke')"])
        self.assertEqual(done.problem(), "exit code 1: it broke")

    def test_a_late_one_is_killed(self):
        done = processes.run(["sh", "-c", "sleep 60 & wait"], timeout=0.2)
        self.assertEqual((done.timed_out, done.code), (True, -signal.SIGKILL))


class Command(unittest.TestCase):
    """main.py as a whole, with a brume that only says what it should."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for part, config in (("unet", {"sample_size": 8}), ("vae", {"block_out_channels": [1, 2]})):
            (self.folder / part).mkdir()
            (self.folder / part / "config.json").write_text(json.dumps(config))
        (self.folder / "model_index.json").write_text("{}")
        (self.folder / "bench.json").write_text(json.dumps(BENCH))
        brume = self.folder / "brume"
        brume.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo brume 9 || cat '{self.folder}/bench.json'\n")
        brume.chmod(0o755)

    def command(self, *words):
        return subprocess.run([sys.executable, str(ROOT / "tools/compare/main.py"), str(self.folder), *words],
                              capture_output=True, text=True, check=False)

    def test_prints_a_table_and_writes_all(self):
        done = self.command("--brume", str(self.folder / "brume"), "--contestants", "brume-bf16", "--rounds", "2",
                            "--json", str(self.folder / "out/result.json"))
        self.assertEqual(done.returncode, 1, done.stderr)  # no diffusers here, or it refuses the model: no reference
        self.assertIn("| 16x16 | brume-bf16 | 710 (700 to 720) |", done.stdout)
        self.assertIn("16x16, round 2 of 2, brume-bf16: steps 700, 720 ms", done.stderr)
        written = json.loads((self.folder / "out/result.json").read_text())
        self.assertEqual(written["versions"]["brume"], "brume 9")
        self.assertEqual(written["sizes"][0]["rows"][0]["step"]["median"], 710)
        self.assertEqual(len(written["sizes"][0]["verdicts"]), 3)

    def test_what_cannot_be_compared_is_one_line(self):
        for words, said in ((["--brume", "nowhere"], "no program at nowhere"), (["--size", "512"], "WIDTHxHEIGHT"),
                            (["--brume", str(self.folder / "brume"), "--size", "15x16"], "multiples of 2"),
                            (["--contestants", "x"], "no contestant"), (["--arch", "sdxl"], "--arch"),
                            (["--rounds", "0"], "--rounds")):
            done = self.command(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertIn(said, done.stderr.splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
