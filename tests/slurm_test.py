#!/usr/bin/env python3
"""tools/cluster/brume.sbatch under a real Slurm: Debian's slurmctld, slurmd and munged, on this machine alone.

All that Slurm has lies in one temporary directory, and its ports are free ones: a Slurm that is at work here is left
alone. BRUME_PROGRAM names the program (default: that of the release build).
"""

import collections
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROJECT = pathlib.Path(__file__).resolve().parent.parent
SCRIPT = PROJECT / "tools/cluster/brume.sbatch"
BRUME = os.path.realpath(os.environ.get("BRUME_PROGRAM", PROJECT / "build/release/brume"))
SKIPPED = 77  # CMake's SKIP_RETURN_CODE
JOBS = 40
SETTINGS = ["--width", "64", "--height", "64", "--steps", "40"]  # long enough to be stopped midway
PATIENCE = 120  # seconds for one thing, on a machine with much else to do; all of it takes half a minute
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}

# cred_expire: a task that begins again waits for the end of its old permission, usually two minutes; 5 s is the least.
# config_overrides: the nodes have the processors said here, whatever this machine has.
CONFIGURATION = """
ClusterName=brume
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge/socket,cred_expire=5
StateSaveLocation={place}/state
SlurmctldPidFile={place}/slurmctld.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdSpoolDir={place}/%n
SlurmdPidFile={place}/%n.pid
SlurmdLogFile={place}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
MinJobAge=600
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4
PartitionName=all Nodes=one,two Default=YES State=UP MaxTime=INFINITE
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(true, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while True:
        found = true()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {patience} s")
        time.sleep(0.1)


def environment_of(process):
    try:
        return (pathlib.Path("/proc") / process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it is gone


class Cluster:
    """slurmctld and two nodes. Nothing of it outlives stop()."""

    def __init__(self):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="brume-slurm-"))
        self.place.chmod(0o755)  # munge's clients must reach its socket
        self.configuration = self.place / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        self.daemons = []
        for name in ("munge", "state", "one", "two"):
            (self.place / name).mkdir(mode=0o755)
        key = self.place / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        # slurmd looks for control groups, which a container may not have, unless told which; nothing here uses them.
        (self.place / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self.configuration.write_text(CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], place=self.place, ports=free_ports(3)))

    def start(self):
        munge = self.place / "munge"
        self.daemon("munged", "--foreground", f"--socket={munge}/socket", f"--key-file={munge}/key",
                    f"--pid-file={munge}/pid", f"--seed-file={munge}/seed", f"--log-file={munge}/log")
        wait_until((munge / "socket").exists, "munged")
        self.daemon("slurmctld", "-D", "-i")
        for node in ("one", "two"):
            self.daemon("slurmd", "-D", "-N", node)
        wait_until(lambda: self.ask("sinfo", "-hN", "-o", "%t", check=False).split() == ["idle", "idle"], "the nodes")

    def daemon(self, *words):
        with open(self.place / "daemons.log", "ab") as log:
            # Should this test be killed, they end with it.
            self.daemons.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], env=self.environment,
                                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def ask(self, *words, check=True, **environment):
        done = subprocess.run(words, env={**self.environment, **environment}, text=True, timeout=PATIENCE, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def submit(self, array, *words, directory, **environment):
        return self.ask("sbatch", "--parsable", f"--array={array}", "--output=%a.out", f"--chdir={directory}",
                        str(SCRIPT), *words, **environment).strip()

    def tasks(self, job):
        """For each task of an array what Slurm says of it."""
        tasks = {}
        for record in self.ask("scontrol", "-o", "show", "job", job).splitlines():
            known = dict(re.findall(r"(\w+)=(\S*)", record))
            if known.get("ArrayTaskId", "").isdigit():
                tasks[int(known["ArrayTaskId"])] = known
        return tasks

    def wait(self, job, count):
        def ended():
            tasks = self.tasks(job)
            return tasks if len(tasks) == count and all(t["JobState"] in ENDED for t in tasks.values()) else None
        return wait_until(ended, f"the end of job {job}")

    def processes(self):
        """Ours, and the tasks'."""
        mark = f"SLURM_CONF={self.configuration}".encode()
        return [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()
                and mark in environment_of(name)]

    def programs_of(self, task):
        """The processes that draw the pictures of one task."""
        found = []
        for process in self.processes():
            try:
                program = os.readlink(f"/proc/{process}/exe")
            except OSError:
                continue
            if program == BRUME and f"SLURM_ARRAY_TASK_ID={task}".encode() in environment_of(process):
                found.append(int(process))
        return found

    def stop(self):
        def none_left():
            left = self.processes()
            for process in left:
                try:
                    os.kill(int(process), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not left
        wait_until(none_left, "the end of the cluster", 10)  # again: a daemon may have started one in between
        for daemon in self.daemons:
            daemon.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def logs(self):
        return "".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}\n"
                       for log in sorted(self.place.glob("*.log")))


class SlurmArray(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.stop)
        try:
            cls.cluster.start()
        except BaseException:
            print(cls.cluster.logs(), file=sys.stderr)
            raise

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)

    def output(self, task):
        file = self.place / f"{task}.out"
        return file.read_text() if file.exists() else ""

    def paths(self, task):
        return [line for line in self.output(task).splitlines() if line.endswith(".png")]

    def outputs(self):
        return "".join(f"--- {file.name}\n{file.read_text()}" for file in sorted(self.place.glob("*.out")))

    def test_tasks_that_are_ended_midway_lose_nothing_and_repeat_nothing(self):
        jobs = self.place / "jobs.txt"
        jobs.write_text("".join(f"a red apple, number {i} --d {i}\n" for i in range(JOBS)))
        directory = self.place / "out"
        directory.mkdir()
        job = self.cluster.submit("0-3", str(jobs), str(directory), *SETTINGS, "--batch-size", "1",
                                  directory=self.place, BRUME=BRUME)
        try:
            # Each in a way of its own, when it has drawn a part; the last one in peace.
            wait_until(lambda: self.paths(0), "pictures of task 0")
            self.cluster.ask("scancel", "--batch", "--signal=USR1", f"{job}_0")  # what comes before the end of --time
            wait_until(lambda: self.paths(1), "pictures of task 1")
            killed = self.cluster.programs_of(1)
            self.assertEqual(len(killed), 1)
            os.kill(killed[0], signal.SIGKILL)
            wait_until(lambda: self.paths(2), "pictures of task 2")
            self.cluster.ask("scontrol", "requeue", f"{job}_2")  # what preemption does
            tasks = self.cluster.wait(job, 4)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.outputs()}{self.cluster.logs()}") from failure

        told = self.outputs()
        for task, restarts in {0: 1, 1: 1, 2: 1, 3: 0}.items():
            self.assertEqual((tasks[task]["JobState"], tasks[task]["ExitCode"]), ("COMPLETED", "0:0"), told)
            self.assertEqual(int(tasks[task]["Restarts"]), restarts, told)
        for task, words in {0: "stopped by signal 10: beginning again", 1: "stopped by signal 9: beginning again",
                            2: "ended by Slurm, exit code 138"}.items():
            self.assertIn(words, self.output(task))

        pictures = sorted(str(file) for file in directory.glob("*.png"))
        self.assertEqual(len(pictures), JOBS, told)
        drawn = collections.Counter(path for task in range(4) for path in self.paths(task))
        self.assertEqual(set(drawn.values()), {1}, told)
        self.assertLessEqual(set(drawn), set(pictures))
        self.assertGreaterEqual(len(drawn), JOBS - 1, told)  # one may be drawn and its line not written yet at the kill

        records = [json.loads(line)["record"] for file in directory.glob("brume-journal.*-of-4.jsonl")
                   for line in file.read_text().splitlines()]
        self.assertEqual(len(records), JOBS)
        self.assertEqual(len({record["key"] for record in records}), JOBS)
        self.assertEqual({record["status"] for record in records}, {"done"})
        self.assertEqual(sorted(str(directory / record["file"]) for record in records), pictures)
        status = json.loads(self.cluster.ask(BRUME, "batch", "--status", "--json", str(directory)))
        self.assertEqual((status["done"], status["failed"], status["journals"]), (JOBS, 0, 4), status)
        self.assertEqual((status["running"], status["remarks"]), ([], []))
        # The whole, without shards, is what is there.
        again = json.loads(self.cluster.ask(BRUME, "batch", str(jobs), "-o", str(directory), *SETTINGS, "--json"))
        self.assertEqual((again["drawn"], again["skipped"]), (0, JOBS), again)

    def test_each_exit_code_has_its_end(self):
        program = self.place / "brume"
        program.write_text('#!/bin/sh\n[ "$SLURM_ARRAY_TASK_ID" -ne 99 ] || exec sleep 60\n'
                           'exit "$SLURM_ARRAY_TASK_ID"\n')
        program.chmod(0o755)
        job = self.cluster.submit("1-8,99", "jobs.txt", "out", "--shard", "auto/100", directory=self.place,
                                  BRUME=str(program), BRUME_MAX_RESTARTS="1")
        try:
            wait_until(lambda: self.output(99), "task 99")
            self.cluster.ask("scancel", f"{job}_99")
            tasks = self.cluster.wait(job, 9)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.outputs()}{self.cluster.logs()}") from failure
        told = self.outputs()
        for code in range(1, 9):
            task = tasks[code]
            self.assertEqual((task["JobState"], task["ExitCode"]), ("FAILED", f"{code}:0"), told)
            self.assertEqual(int(task["Restarts"]), 1 if code in (7, 8) else 0, told)
        # A node whose GPU faulted is not taken again.
        nodes = re.findall(r"task \S+ on (\w+), restart", self.output(7))
        self.assertEqual(sorted(nodes), ["one", "two"], told)
        # Cancelled stays cancelled.
        self.assertEqual((tasks[99]["JobState"], tasks[99]["Restarts"]), ("CANCELLED", "0"), told)


def what_is_missing():
    if os.geteuid() != 0:
        return "slurmctld and slurmd are started by root alone"
    programs = [name for name in ("munged", "slurmctld", "slurmd", "sbatch", "setpriv") if not shutil.which(name)]
    return f"no {', '.join(programs)}; tools/setup --slurm installs them" if programs else None


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = what_is_missing()
    if missing:
        print(f"slurm_test: {missing}", file=sys.stderr)
        sys.exit(1 if os.environ.get("BRUME_REQUIRE_SLURM") else SKIPPED)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and the cluster is stopped
    unittest.main()


if __name__ == "__main__":
    main()
