"""tools/gpu_check without a GPU: order, time limits, what is skipped, what outputs say, the table, exit codes."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from compare.processes import Ended  # noqa: E402
from gpu import aims, card, programs, readings, schedule, stages, table  # noqa: E402
from gpu.readings import Reading  # noqa: E402
from gpu.stages import Command, Stage  # noqa: E402

GPU = "NVIDIA H100 80GB HBM3, 580.159.04, 81559, 4, 345, 1593, 1980, 2619, 71.52, 700.00, 31"
GTEST = "[==========] Running 3 tests.\n[ RUN      ] A.B\n[       OK ] A.B (0 ms)\n[  PASSED  ] 3 tests.\n"
GTEST_FAILED = ("[  FAILED  ] A.C (1 ms)\n[  PASSED  ] 2 tests.\n[  FAILED  ] 1 test, listed below:\n"
                "[  FAILED  ] A.C, where GetParam() = 7\n\n 1 FAILED TEST\n")
CLEAN = f"========= COMPUTE-SANITIZER\n{GTEST}========= ERROR SUMMARY: 0 errors\n"
DIRTY = ("========= COMPUTE-SANITIZER\n========= Invalid __global__ read of size 2 bytes\n=========     at kernel\n"
         "========= ERROR SUMMARY: 120 errors\n"
         "========= ERROR SUMMARY: 20 errors were not printed. Use --print-limit option to adjust the number\n")
RACES = ("========= COMPUTE-SANITIZER\n========= Error: Race reported between Write access\n"
         "========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)\n")
NO_RACES = "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n"
BENCH = {"device": "cuda", "steps_per_second": 160.0, "vae_decode_ms": 5.0, "pictures_per_second": 6.0, "samples": {}}
PEER = {"steps_per_second": 80.0, "vae_decode_ms": 10.0, "pictures_per_second_batch8": None, "compile_seconds": None,
        "peak_memory_bytes": 3 << 30, "finite": True}
KERNELS = {"summary": "1 of 1 aims met", "copy_gigabytes_a_second": 3000, "launch_microseconds": 2.0, "rounds": 15,
           "dtype": "fp16", "attention": []}


def ended(output="", code=0, errors="", timed_out=False):
    return Ended(["x"], code, output, errors, 1.0, 0, timed_out)


class Readings(unittest.TestCase):
    def test_google_test(self):
        self.assertEqual(readings.tests(ended(GTEST)),
                         Reading("3 passed", {"passed": 3, "failed": [], "skipped": None}))
        failed = readings.tests(ended(GTEST_FAILED))
        self.assertEqual((failed.line, failed.well), ("2 passed, 1 failed: A.C", False))
        skipped = readings.tests(ended("[  SKIPPED ] these kernels are for 9.0 alone\n[  PASSED  ] 12 tests.\n"))
        self.assertEqual((skipped.line, skipped.well), ("skipped: these kernels are for 9.0 alone", True))
        one = readings.tests(ended("[  SKIPPED ] A.B (0 ms)\n[  PASSED  ] 2 tests.\n"
                                   "[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] A.B\n"))
        self.assertEqual(one.line, "2 passed")

    def test_compute_sanitizer(self):
        self.assertEqual(readings.sanitizer(ended(CLEAN)).line, "0 errors")
        self.assertTrue(readings.sanitizer(ended(NO_RACES)).well)
        dirty = readings.sanitizer(ended(DIRTY))
        self.assertEqual((dirty.line, dirty.well), ("120 errors: Invalid __global__ read of size 2 bytes", False))
        races = readings.sanitizer(ended(RACES))
        self.assertEqual(races.facts, {"errors": 1, "warnings": 1,
                                       "first": "Error: Race reported between Write access"})

    def test_brume_bench(self):
        reading = readings.bench(ended(json.dumps(BENCH, indent=1)))
        self.assertEqual(reading.line, "160 steps/s, decode 5 ms, 6 pictures/s")
        self.assertNotIn("samples", reading.facts)
        with self.assertRaisesRegex(ValueError, "it ran on cpu"):
            readings.bench(ended(json.dumps({**BENCH, "device": "cpu"})))

    def test_what_is_no_result_is_an_error(self):
        for read, text in ((readings.tests, "Segmentation fault"), (readings.sanitizer, GTEST), (readings.bench, ""),
                           (readings.bench, "[1]")):
            with self.assertRaises(ValueError):
                read(ended(text))

    def test_a_peer_s_file_may_hold_a_part(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "peer.json"
            path.write_text(json.dumps({"steps_per_second": 80.0, "vae_decode_ms": None, "compile_seconds": 70.4}))
            self.assertEqual(readings.peer(path).line, "80 steps/s, compiled in 70.4 s")

    def test_nvidia_smi(self):
        known = card.parse(GPU + "\n" + GPU)
        self.assertEqual((known["name"], known["driver_version"], known["clocks.max.sm"]),
                         ("NVIDIA H100 80GB HBM3", "580.159.04", 1980))
        self.assertIsNone(card.parse(GPU.replace("71.52", "[N/A]"))["power.draw"])
        with self.assertRaisesRegex(ValueError, "No devices"):
            card.parse("No devices were found\n")


class Schedule(unittest.TestCase):
    """Time is what the stand-in commands say."""

    def setUp(self):
        self.now, self.limits, self.answers, self.written = 0.0, [], {}, 0
        schedule.say, said = lambda line: None, schedule.say
        self.addCleanup(setattr, schedule, "say", said)

    def run_one(self, words, environment, timeout):
        self.assertEqual(environment, {"A": "B"})
        self.limits.append((words[0], timeout))
        takes, answer = self.answers.get(words[0], (1, ended("fine")))
        if isinstance(answer, Exception):
            raise answer
        self.now += min(takes, timeout)
        return answer if takes <= timeout else ended("some", -9, timed_out=True)

    def write(self):
        self.written += 1

    def take(self, budget, *todo):
        plan = schedule.Schedule(budget, {"A": "B"}, schedule.Log(None), self.run_one, lambda: self.now)
        entries = [{} for _ in todo]
        for stage, entry in zip(todo, entries):
            plan.take(stage, entry, self.write)
        return entries

    @staticmethod
    def stage(name, seconds, *commands, least=5.0):
        return Stage(name, seconds, [Command(command, [command], 10, lambda done: Reading(done.output), None, least)
                                     for command in commands])

    def statuses(self, entry):
        return [one["status"] for one in entry["commands"]]

    def test_all_run_in_order(self):
        entries = self.take(100, self.stage("first", 50, "a", "b"), self.stage("second", 50, "c"))
        self.assertEqual(self.limits, [("a", 10), ("b", 10), ("c", 10)])
        self.assertEqual([entry["status"] for entry in entries], ["passed", "passed"])
        self.assertEqual((entries[0]["seconds"], self.written), (2, 3))
        self.assertTrue(schedule.all_well(entries))

    def test_a_failure_ends_nothing(self):
        self.answers = {"a": (1, ended("bad", 3, "x\nno memory\n")), "c": (1, OSError("no such file"))}
        entries = self.take(100, self.stage("first", 50, "a", "b"), self.stage("second", 50, "c", "d"))
        self.assertEqual([self.statuses(entry) for entry in entries], [["failed", "passed"]] * 2)
        self.assertEqual(entries[0]["commands"][0]["problem"], "exit code 3: no memory")
        self.assertEqual(entries[0]["commands"][0]["output_tail"], "badx\nno memory\n")
        self.assertIn("no such file", entries[1]["commands"][0]["problem"])
        self.assertFalse(schedule.all_well(entries))

    def test_a_command_ends_at_its_limit(self):
        self.answers = {"a": (11, ended())}
        entry, = self.take(100, self.stage("first", 50, "a", "b"))
        self.assertEqual((self.statuses(entry), entry["status"]), (["timed out", "passed"], "timed out"))
        self.assertEqual(entry["commands"][0]["problem"], "did not end in 10 s")
        self.assertEqual(entry["commands"][0]["line"], "some")  # what it had said counts

    def test_a_stage_ends_at_its_limit_and_the_next_goes_on(self):
        self.answers = {"a": (7, ended()), "b": (7, ended())}
        first, second = self.take(100, self.stage("first", 13, "a", "b", "c"), self.stage("second", 50, "d"))
        self.assertEqual(self.limits, [("a", 10), ("b", 6), ("d", 10)])
        self.assertEqual(self.statuses(first), ["passed", "timed out", "skipped"])
        self.assertEqual(first["commands"][2]["problem"], "0 s are left of the stage's 13 s, too few to begin")
        self.assertEqual((first["status"], second["status"]), ("timed out", "passed"))

    def test_later_stages_are_skipped_when_the_budget_is_used_up(self):
        self.answers = {"a": (9, ended())}
        first, second, third = self.take(16, self.stage("first", 50, "a", "b"),
                                         self.stage("second", 50, "c", least=6.5), self.stage("third", 50, "d"))
        self.assertEqual(self.limits, [("a", 10), ("b", 7), ("d", 6)])
        self.assertEqual([first["status"], second["status"], third["status"]], ["passed", "skipped", "passed"])
        self.assertIn("the 16 s of all stages", second["commands"][0]["problem"])
        self.assertFalse(schedule.all_well([first, second, third]))

    def test_an_output_that_is_not_understood_is_a_failure(self):
        def read(_done):
            raise KeyError("device")
        entry, = self.take(100, Stage("first", 50, [Command("a", ["a"], 10, read)]))
        self.assertEqual((entry["status"], entry["commands"][0]["problem"]),
                         ("failed", "its output is not understood: 'device'"))

    def test_a_result_of_an_earlier_run_is_forgotten(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "kernels.json"
            path.write_text(json.dumps(KERNELS))
            command = Command("a", ["a"], 10, lambda _: readings.kernels(path), path)
            entry, = self.take(100, Stage("kernels", 50, [command]))
            self.assertEqual(entry["status"], "failed")

    def test_what_is_missing_fails_and_what_is_absent_does_not(self):
        entries = self.take(100, Stage("bench", 1, [], missing="no brume"))
        self.assertEqual((entries[0]["status"], entries[0]["why"]), ("failed", "no brume"))
        entries = self.take(100, Stage("peer", 1, [], absent="no diffusers"))
        self.assertEqual(entries[0]["status"], "absent")
        self.assertTrue(schedule.all_well(entries))


def built(folder, flat=False):
    """A build's files, all empty."""
    tests, kernels = (folder, folder) if flat else (folder / "tests", folder / "kernels")
    for path in [folder / "brume", kernels / "libbrume_kernels.so", folder / "libbrume_cuda.so",
                 *(tests / f"{name}_gpu_test" for name in stages.SANITIZED)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


class Programs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()

    def test_are_found_in_the_first_folder_that_has_them(self):
        first, second = built(self.folder / "one", flat=True), built(self.folder / "two")
        (first / "brume").unlink()
        (second / "tests/engine_gpu_test").touch()
        found = programs.find([first, second], "python")
        self.assertEqual(found.brume, second / "brume")
        self.assertEqual(found.tests, {name: first / f"{name}_gpu_test" for name in sorted(stages.SANITIZED)})
        self.assertEqual((found.kernels, found.libraries), (first / "libbrume_kernels.so", (first,)))
        deep = programs.find([second], "python")
        self.assertEqual(deep.libraries, (second / "kernels", second))
        self.assertTrue(deep.environment()["LD_LIBRARY_PATH"].startswith(f"{second}/kernels:{second}"))

    def chosen(self, names, has_diffusers=True, folder=None):
        found = programs.Programs(**{**vars(programs.find([folder or built(self.folder)], "python")),
                                     "sanitizer": "compute-sanitizer"})
        settings = stages.Settings(self.folder, self.folder, "default", has_diffusers)
        return stages.chosen(names, found, settings)

    def test_stages_come_in_their_order(self):
        self.assertEqual([stage.name for stage in self.chosen(None)], list(stages.NAMES))
        self.assertEqual([stage.name for stage in self.chosen(["peer", "tests"])], ["tests", "peer"])
        self.assertFalse([stage for stage in self.chosen(None) if stage.missing or stage.absent or not stage.commands])

    def test_the_four_tools_run_on_the_three_tests(self):
        stage, = self.chosen(["sanitizer"])
        self.assertEqual(len(stage.commands), 12)
        self.assertEqual(stage.commands[0].words, ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "86",
                                                   str(self.folder / "tests/small_kernels_gpu_test")])

    def test_diffusers_may_be_absent_unless_it_is_asked_for(self):
        self.assertIsNotNone(self.chosen(None, has_diffusers=False)[-1].absent)
        self.assertIsNotNone(self.chosen(["peer"], has_diffusers=False)[-1].missing)

    def test_nothing_built_is_missing(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertEqual([bool(stage.missing) for stage in self.chosen(None, folder=empty)], [True] * 4 + [False])

    def test_figures_are_measured_by_commands_that_there_are(self):
        names = {stage.name: [command.name for command in stage.commands] for stage in self.chosen(None)}
        for figure in aims.FIGURES:
            self.assertIn(figure.bench, names["bench"])
            for mode in aims.MODES:
                self.assertIn(f"{mode} {figure.arch}", names["peer"])


def measured(**results):
    """Entries of bench and peer, by the commands' names with _ for a space."""
    entries = {"bench": [], "peer": []}
    for name, facts in results.items():
        stage = "peer" if name.startswith(("eager", "compile")) else "bench"
        entries[stage].append({"name": name.replace("_", " "), "command": f"run {name}", "status": "passed",
                               "line": "l", "problem": None, "seconds": 1.0, "limit_seconds": 60.0, "results": facts})
    return [{"name": name, "status": "passed", "why": None, "seconds": 1.0, "commands": commands}
            for name, commands in entries.items()]


class Table(unittest.TestCase):
    def rows(self, **results):
        return {row["what"]: row for row in aims.rows(measured(**results))}

    def test_ratios_say_how_many_times_as_fast(self):
        rows = self.rows(sd15=BENCH, eager_sd15=PEER, compile_sd15={**PEER, "steps_per_second": 200.0})
        steps, decode = rows["SD1.5, 512x512, one picture"], rows["decode, 512x512"]
        self.assertEqual(steps["times_as_fast"], {"eager": 2.0, "compile": 0.8})
        self.assertEqual((steps["met"], decode["times_as_fast"]["eager"], decode["met"]), (True, 2.0, None))

    def test_aims(self):
        for rate, decode, eight, met in ((30, 30, 1.6, True), (29.9, 30.1, 1.59, False)):
            rows = self.rows(sdxl={**BENCH, "steps_per_second": rate, "vae_decode_ms": decode},
                             sdxl_batch_8={**BENCH, "pictures_per_second": eight})
            self.assertEqual([rows[what]["met"] for what in ("SDXL, 1024x1024, one picture", "decode, 1024x1024",
                                                             "SDXL, 1024x1024, 20 steps, eight pictures")], [met] * 3)
            self.assertIsNone(rows["SD1.5, 512x512, one picture"]["met"])

    def test_joined_takes_each_figure_where_it_was_measured(self):
        one = {"figures": aims.rows(measured(sd15=BENCH, eager_sd15=PEER))}
        other = {"figures": aims.rows(measured(sd15={**BENCH, "steps_per_second": 100.0}, compile_sd15=PEER))}
        text = table.joined([one, other])
        self.assertIn("| SD1.5, 512x512, one picture, steps/s | at least 150 steps/s | 160 | met | 80 | 2.00 | 80 | 1.25 |",
                      text)
        self.assertIn("| SDXL, 1024x1024, one picture, steps/s | at least 30 steps/s | - | not measured | ", text)

    def test_the_readme_has_the_results(self):
        results = [json.loads(path.read_text(encoding="utf-8"))
                   for path in sorted((ROOT / "bench/results/h100").glob("check*.json"), reverse=True)]
        self.assertTrue(results)
        self.assertIn(table.joined(results), (ROOT / "README.md").read_text(encoding="utf-8"))

    def test_markdown(self):
        entries = measured(sd15=BENCH, eager_sd15=PEER)
        entries[0]["gpu_after"] = {"clocks.sm": 1755, "power.draw": 300, "temperature.gpu": 50}
        entries[1]["commands"][0] |= {"status": "timed out", "problem": "a|b"}
        result = {"gpu": card.parse(GPU), "stages": [*entries, {"name": "kernels", "status": "absent", "why": "no file",
                                                                "commands": []}],
                  "versions": {"brume": "brume 1", "torch": "2", "diffusers": None}, "compile_mode": "default",
                  "seconds": 10, "budget_seconds": 525, "figures": aims.rows(entries), "passed": False}
        text = table.markdown(result)
        self.assertIn("| SD1.5, 512x512, one picture, steps/s | at least 150 steps/s | 160 | met | 80 | 2.00 | - | - |",
                      text)
        self.assertIn("| SDXL, 1024x1024, one picture, steps/s | at least 30 steps/s | - | not measured | ", text)
        self.assertIn("| peer | eager sd15 | timed out | 1.0 of 60 | l |", text)
        self.assertIn("| kernels | - | absent | - | no file |", text)
        self.assertIn("NVIDIA H100 80GB HBM3, driver 580.159.04", text)
        self.assertIn("bench: 1,755 MHz, 300 W, 50 degrees", text)
        self.assertIn("NOT ALL STAGES PASSED: bench passed, peer passed, kernels absent; 1 of 4 aims met, 0 missed, ",
                      text)
        self.assertIn("\nrun sd15\nrun eager_sd15\n", text)
        for heads in ("| figure", "| stage"):
            rows = text[text.index(heads):].split("\n\n")[0].splitlines()
            self.assertEqual(len({row.count("|") for row in rows}), 1)


STAND_IN = """#!{python}
import json, os, pathlib, sys, time
name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
said = json.loads({said!r})
if os.environ.get("SLOW") == name: time.sleep(60)
if os.environ.get("BROKEN") == name: sys.exit("broken")
if name == "nvidia-smi": print(said["gpu"])
elif name == "compute-sanitizer": print(said["races"] if "racecheck" in words else said["clean"])
elif name == "brume": print("brume 1" if words == ["--version"] else json.dumps(said["bench"]))
elif name != "python": print(said["gtest"])
elif words[0] == "-c": print(json.dumps({{"python": "3", "torch": "2",
    "diffusers": None if os.environ.get("DIFFUSERS") == "none" else "0.42"}}))
elif words[0].endswith("kernel_bench"):
    folder = pathlib.Path(words[1]); folder.mkdir(); (folder / "kernels.json").write_text(json.dumps(said["kernels"]))
else:
    if "--wait-for" in words:
        signal = pathlib.Path(words[words.index("--wait-for") + 1])
        if os.environ.get("UNREADY"): time.sleep(60)
        pathlib.Path(str(signal) + ".ready").touch()
        while not signal.exists(): time.sleep(0.05)
    pathlib.Path(words[words.index("--json") + 1]).write_text(json.dumps(said["peer"]))
"""


class CommandLine(unittest.TestCase):
    """The program itself, among stand-ins of all that it calls."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        built(self.folder / "build")
        said = {"gpu": GPU, "races": NO_RACES, "clean": CLEAN, "bench": BENCH, "gtest": GTEST, "kernels": KERNELS,
                "peer": PEER}
        text = STAND_IN.format(python=sys.executable, said=json.dumps(said))
        for path in [*(self.folder / name for name in ("nvidia-smi", "compute-sanitizer", "python")),
                     self.folder / "build/brume", *(self.folder / "build/tests").iterdir()]:
            path.write_text(text)
            path.chmod(0o755)

    def command(self, *words):
        return [sys.executable, str(ROOT / "tools/gpu_check"), str(self.folder / "out"), "--prebuilt",
                str(self.folder / "build"), "--python", str(self.folder / "python"), *words]

    def environment(self, **more):
        return {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", **more}

    def check(self, *words, **more):
        done = subprocess.run(self.command(*words), env=self.environment(**more), capture_output=True, text=True,
                              check=False)
        self.assertNotIn("Traceback", done.stderr)
        path = self.folder / "out/gpu_check.json"
        return done, json.loads(path.read_text()) if path.exists() else None

    def test_all_stages(self):
        done, result = self.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([stage["name"] for stage in result["stages"]], list(stages.NAMES))
        self.assertEqual({stage["status"] for stage in result["stages"]}, {"passed"})
        self.assertEqual((result["format"], result["passed"], result["versions"]["brume"]),
                         ("brume.gpu_check/1", True, "brume 1"))
        self.assertEqual(result["stages"][0]["gpu_after"]["clocks.sm"], 345)
        self.assertIn("All stages passed", done.stdout)
        self.assertIn("gpu_check: sanitizer, racecheck group_norm_kernel: passed after", done.stderr)
        log = (self.folder / "out/gpu_check.log").read_text()
        self.assertEqual(log.count("\n[exit status 0 after"), sum(len(stage["commands"]) for stage in result["stages"]))

    def test_compiling_begins_beside_what_is_not_timed_and_is_measured_in_its_turn(self):
        done, result = self.check("--only", "tests,bench,peer")
        said = done.stderr
        order = [said.index(line) for line in
                 ("compile sdxl: makes itself ready", "tests, small_kernels: passed", "bench, sdxl batch 8: passed",
                  "peer, eager sdxl: passed", "peer, compile sd15: passed", "peer, compile sdxl: passed")]
        self.assertEqual(order, sorted(order))
        self.assertEqual((done.returncode, result["passed"]), (0, True))

    def test_what_has_not_compiled_in_time_is_ended_before_anything_is_timed(self):
        done, result = self.check("--only", "tests,bench,peer", "--budget", "20", UNREADY="1")
        self.assertEqual(done.returncode, 1)
        bench, peer = result["stages"][1:]
        self.assertEqual(bench["status"], "passed")
        self.assertEqual([one["status"] for one in peer["commands"]], ["skipped"] * 2 + ["timed out"] * 2)
        self.assertRegex(peer["commands"][2]["problem"], "was not ready after 1[23] s")
        self.assertLess(done.stderr.index("tests, small_kernels"), done.stderr.index("bench, sd15"))

    def test_a_small_gpu_compiles_in_turn(self):
        self.folder.joinpath("nvidia-smi").write_text(self.folder.joinpath("nvidia-smi").read_text()
                                                      .replace("81559", "24000"))
        done, _ = self.check("--only", "tests,peer", UNREADY="1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("makes itself ready", done.stderr)

    def test_a_broken_program_fails_its_stage(self):
        done, result = self.check("--only", "bench,tests", BROKEN="brume")
        self.assertEqual(done.returncode, 1)
        self.assertEqual([stage["status"] for stage in result["stages"]], ["passed", "failed"])
        self.assertEqual(result["stages"][1]["commands"][0]["problem"], "exit code 1: broken")
        self.assertIn("NOT ALL STAGES PASSED: tests passed, bench failed",
                      (self.folder / "out/gpu_check.md").read_text())

    def test_a_used_up_budget_skips(self):
        done, result = self.check("--only", "tests,kernels", "--budget", "5.5", SLOW="attention_kernel_gpu_test")
        self.assertEqual(done.returncode, 1)
        first, second = result["stages"]
        self.assertEqual([one["status"] for one in first["commands"]], ["timed out", "skipped", "skipped"])
        self.assertEqual(second["status"], "skipped")
        self.assertLess(result["seconds"], 15)

    def test_no_diffusers(self):
        done, result = self.check("--only", "peer", DIFFUSERS="none")
        self.assertEqual(done.returncode, 1)
        self.assertIn("peer: failed: this Python has no torch or no diffusers", done.stderr)

    def test_a_stop_leaves_what_is_known(self):
        slow = subprocess.Popen(self.command("--only", "tests"), env=self.environment(SLOW="small_kernels_gpu_test"),
                                stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for line in slow.stderr:
            if "group_norm_kernel: passed" in line:
                break
        time.sleep(0.3)
        slow.send_signal(signal.SIGTERM)
        self.assertIn("gpu_check: stopped", slow.stderr.read())
        slow.stderr.close()
        self.assertEqual(slow.wait(20), 130)
        result = json.loads((self.folder / "out/gpu_check.json").read_text())
        self.assertEqual([one["status"] for one in result["stages"][0]["commands"]], ["passed", "passed", "skipped"])
        self.assertFalse(result["passed"])

    def test_what_cannot_be_is_said(self):
        for words, said in ((("--only", "test"), "'test' is none of tests,"),
                            (("--prebuilt", "/nowhere"), "no directory")):
            done, _ = self.check(*words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)
        done, result = self.check(BROKEN="nvidia-smi")
        self.assertEqual((done.returncode, done.stderr, result), (2, "gpu_check: nvidia-smi: broken\n", None))


if __name__ == "__main__":
    unittest.main()
