#!/usr/bin/env python3
"""The files of tools/cluster, without a cluster: what they make of every exit code that brume has."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parent.parent
SCRIPT = PROJECT / "tools/cluster/brume.sbatch"
SIGNALS = {129, 130, 137, 138, 143}  # 128 + HUP, INT, KILL, USR1, TERM

try:
    import yaml
except ImportError:
    yaml = None


OF_BENCHMARKS = {9}  # undecided: no batch ends with it


def batch_codes():
    """Those of include/brume/base/error.h that a batch may end with, 0 left out."""
    text = (PROJECT / "include/brume/base/error.h").read_text()
    body = re.search(r"enum class ExitCode[^{]*{([^}]*)}", text).group(1)
    return {int(number) for number in re.findall(r"=\s*(\d+)", body)} - {0} - OF_BENCHMARKS


class SlurmScript(unittest.TestCase):
    """Run by hand, with programs beside it that only tell that they were called."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        self.calls = self.place / "calls"
        for name, body in {
            "brume": 'echo "brume $*" >>"$CALLS"\n'
                     '[ -z "$SIGNAL" ] || { kill -$SIGNAL $PPID; exec sleep 5; }\nexit "$CODE"',
            "scontrol": 'case $1 in hostnames|show) ;; *) echo "scontrol $*" >>"$CALLS" ;; esac\n'
                        'if [ "$1 $2" = "show hostnames" ]; then echo "$3"; fi',
            "sinfo": 'printf "%s\\n" $NODES',
        }.items():
            (self.place / name).write_text(f"#!/bin/sh\n{body}\n")
            (self.place / name).chmod(0o755)

    def run_script(self, *options, code=0, **environment):
        tasks = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "0",
                 "SLURM_ARRAY_TASK_MAX": "3", "SLURM_ARRAY_TASK_COUNT": "4"}
        known = {"PATH": f"{self.place}:{os.environ['PATH']}", "CALLS": str(self.calls), "CODE": str(code),
                 "SIGNAL": "", "NODES": "a b", "SLURM_JOB_ID": "9", "SLURM_JOB_PARTITION": "all",
                 "SLURMD_NODENAME": "a", **tasks, **environment}
        self.calls.write_text("")
        done = subprocess.run(["bash", str(SCRIPT), "jobs.txt", "out dir", *options], text=True, timeout=30,
                              env={name: value for name, value in known.items() if value is not None},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, self.calls.read_text().splitlines(), done.stdout

    def test_every_exit_code_has_its_end(self):
        again = {7, 8} | SIGNALS
        for code in sorted({0, 127} | batch_codes() | SIGNALS):
            ended, calls, told = self.run_script(code=code)
            self.assertEqual(ended, code, told)
            self.assertEqual("scontrol requeue 7_2" in calls, code in again, f"{code}: {told}")

    def test_every_code_of_brume_is_named_in_its_comment(self):
        comment = re.search(r"# What becomes of a task(.*?)\nset -", SCRIPT.read_text(), re.S).group(1)
        named = {int(n) for line in re.findall(r"^#   ([\d ]+?) {2,}", comment, re.M) for n in line.split()}
        self.assertEqual(named - {0}, batch_codes())

    def test_a_node_with_a_gpu_fault_is_avoided_where_there_is_another(self):
        bar = "scontrol update JobId=7_2 ExcNodeList=a"
        self.assertIn(bar, self.run_script(code=7)[1])
        self.assertNotIn(bar, self.run_script(code=7, NODES="a")[1])
        self.assertNotIn(bar, self.run_script(code=8)[1])

    def test_it_begins_again_only_so_often(self):
        self.assertIn("scontrol requeue 7_2", self.run_script(code=8, SLURM_RESTART_COUNT="19")[1])
        ended, calls, told = self.run_script(code=8, SLURM_RESTART_COUNT="20")
        self.assertEqual((ended, len(calls)), (8, 1), told)
        self.assertIn("enough", told)
        self.assertEqual(len(self.run_script(code=8, SLURM_RESTART_COUNT="2", BRUME_MAX_RESTARTS="2")[1]), 1)

    def test_a_task_knows_its_share(self):
        self.assertEqual(self.run_script("--steps", "3")[1],
                         ["brume batch jobs.txt -o out dir --shard auto/4 --steps 3"])
        part = {"SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_MAX": "2", "SLURM_ARRAY_TASK_COUNT": "1"}
        ended, calls, told = self.run_script(**part)
        self.assertEqual((ended, calls), (2, []), told)
        for option in (["--shard", "auto/4"], ["--shard=auto/4"]):
            self.assertEqual(self.run_script(*option, **part)[1],
                             ["brume batch jobs.txt -o out dir " + " ".join(option)])
        alone = self.run_script(SLURM_ARRAY_TASK_ID=None, SLURM_ARRAY_JOB_ID=None)
        self.assertEqual(alone[1], ["brume batch jobs.txt -o out dir"])

    def test_a_warning_begins_again_and_an_end_does_not(self):
        ended, calls, told = self.run_script(SIGNAL="USR1")
        self.assertEqual((ended, calls[1:]), (138, ["scontrol requeue 7_2"]), told)
        ended, calls, told = self.run_script(SIGNAL="TERM")
        self.assertEqual((ended, calls[1:]), (138, []), told)


@unittest.skipIf(yaml is None and not os.environ.get("BRUME_REQUIRE_SLURM"),
                 "python3-yaml is missing: tools/setup --slurm")
class KubernetesJob(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.documents = list(yaml.safe_load_all((PROJECT / "tools/cluster/brume-job.yaml").read_text()))
        cls.job = next(one for one in cls.documents if one["kind"] == "Job")["spec"]
        cls.pod = cls.job["template"]["spec"]
        cls.container, = cls.pod["containers"]

    def test_every_exit_code_has_one_rule(self):
        rules = self.job["podFailurePolicy"]["rules"]
        self.assertEqual(rules[0]["action"], "Ignore")
        self.assertEqual(rules[0]["onPodConditions"], [{"type": "DisruptionTarget", "status": "True"}])
        action = {}
        for rule in rules[1:]:
            self.assertEqual(rule["onExitCodes"]["containerName"], self.container["name"])
            self.assertEqual(rule["onExitCodes"]["operator"], "In")
            for code in rule["onExitCodes"]["values"]:
                self.assertNotIn(code, action)
                action[code] = rule["action"]
        self.assertEqual(set(action), batch_codes() | SIGNALS)
        self.assertEqual({code for code, what in action.items() if what == "FailJob"}, {2, 3})
        self.assertEqual({code for code, what in action.items() if what == "FailIndex"}, {1, 4, 5, 6})
        self.assertEqual({code for code, what in action.items() if what == "Count"}, {7, 8} | SIGNALS)

    def test_what_the_policy_demands(self):
        self.assertEqual(self.job["completionMode"], "Indexed")
        self.assertEqual(self.pod["restartPolicy"], "Never")
        self.assertEqual(self.job["podReplacementPolicy"], "Failed")
        self.assertGreater(self.job["backoffLimitPerIndex"], 0)
        self.assertNotIn("backoffLimit", self.job)

    def test_shares_and_grace_fit(self):
        words = self.container["command"] + self.container["args"]
        self.assertEqual(words[words.index("--shard") + 1], f"auto/{self.job['completions']}")
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], float(words[words.index("--grace") + 1]))
        field = next(e for e in self.container["env"] if e["name"] == "JOB_COMPLETION_INDEX")
        self.assertIn("batch.kubernetes.io/job-completion-index", field["valueFrom"]["fieldRef"]["fieldPath"])

    def test_the_output_is_on_the_claim(self):
        claim = next(one for one in self.documents if one["kind"] == "PersistentVolumeClaim")
        volume, = self.pod["volumes"]
        mount, = self.container["volumeMounts"]
        self.assertEqual(volume["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"])
        self.assertEqual(mount["name"], volume["name"])
        words = self.container["command"]
        self.assertTrue(words[words.index("-o") + 1].startswith(mount["mountPath"] + "/"))


if __name__ == "__main__":
    sys.exit(unittest.main())
