"""Runs the stages one after the other, each command within what is left of its own time, its stage's and the whole's.

A failure ends nothing. What did not begin for want of time is skipped, and said to be. Commands that wait for a signal
begin before the first stage, and make themselves ready beside those stages that are not timed.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from compare import processes
from compare.processes import Ended
from gpu.readings import Reading
from gpu.stages import Command, Stage, ready_file

TAIL = 2000  # characters of a failure's output
# The worst of its commands is a stage's.
WORST_FIRST = ("failed", "timed out", "skipped", "passed")
GOOD = ("passed", "absent")

# Of the whole time, how much may have gone when what was begun before is to be ready: the timed stages need the rest.
READY_BY = 0.62

READY_LEAST = 10  # seconds with which it is worth to measure it

Run = Callable[..., Ended]
Clock = Callable[[], float]


def say(line: str) -> None:
    print(f"gpu_check: {line}", file=sys.stderr, flush=True)


class Log:
    """All that the commands said, in one file."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.write_text("", encoding="utf-8")

    def add(self, ended: Ended) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"$ {shlex.join(ended.command)}\n{ended.output}{ended.errors}\n"
                           f"[exit status {ended.code} after {ended.seconds:.1f} s"
                           f"{', killed at its time limit' if ended.timed_out else ''}]\n\n")


class Schedule:
    def __init__(self, budget: float, environment: dict[str, str], log: Log, run: Run = processes.run,
                 clock: Clock = time.monotonic) -> None:
        self.environment, self.log, self.run, self.clock = environment, log, run, clock
        self.budget, self.start = budget, clock()
        self.begun: dict[Path, processes.Running] = {}  # by their signals
        self.late: dict[Path, str] = {}  # what was ended because it was not ready

    def spent(self) -> float:
        return self.clock() - self.start

    def begin(self, stages: list[Stage]) -> None:
        """Those of their commands that wait for a signal."""
        for command in (command for stage in stages for command in stage.commands if command.signal is not None):
            try:
                words = [*command.words, "--wait-for", str(command.signal)]
                self.begun[command.signal] = processes.Running(words, self.environment)
            except OSError:
                continue  # said when it is its turn
            say(f"{command.name}: makes itself ready beside what comes first")

    def settle(self) -> None:
        """Waits until all that was begun is ready; ends what is not in time."""
        def at_work(signal: Path) -> bool:
            return not ready_file(signal).exists() and not self.begun[signal].has_ended()

        while any(map(at_work, self.begun)) and self.spent() < READY_BY * self.budget:
            time.sleep(0.1)
        for signal in list(filter(at_work, self.begun)):
            self.late[signal] = f"was not ready after {self.spent():.0f} s, beside other stages"
            self.begun.pop(signal).kill()

    def end(self) -> None:
        """Whatever still runs."""
        while self.begun:
            self.begun.popitem()[1].kill()

    def take(self, stage: Stage, entry: dict, written: Callable[[], None]) -> None:
        """Fills `entry` in place, and calls `written` after every command: what is known outlives what comes."""
        entry |= {"name": stage.name, "status": "skipped", "why": None, "seconds": 0.0, "limit_seconds": stage.seconds,
                  "commands": [_new_entry(command) for command in stage.commands]}
        if stage.missing or stage.absent:
            entry |= {"status": "failed" if stage.missing else "absent", "why": stage.missing or stage.absent}
            say(f"{stage.name}: {entry['status']}: {entry['why']}")
        if stage.timed:
            self.settle()
        begun = self.clock()
        for command, one in zip(stage.commands, entry["commands"]):
            left, whose = min((self.budget - self.spent(), f"the {self.budget:g} s of all stages"),
                              (stage.seconds - (self.clock() - begun), f"the stage's {stage.seconds:g} s"))
            if command.signal in self.late:
                one |= {"status": "timed out", "problem": self.late[command.signal]}
            elif left < (READY_LEAST if command.signal in self.begun else command.least):
                one["problem"] = f"{max(left, 0):.0f} s are left of {whose}, too few to begin"
            else:
                one["limit_seconds"] = min(left, command.seconds)
                self._run(command, one)
            statuses = [taken["status"] for taken in entry["commands"]]
            entry |= {"status": min(statuses, key=WORST_FIRST.index), "seconds": self.clock() - begun}
            say(f"{stage.name}, {command.name}: {_told(one)}")
            written()

    def _run(self, command: Command, one: dict) -> None:
        try:
            ended = self._ended(command, one["limit_seconds"])
        except OSError as error:
            one |= {"status": "failed", "problem": f"it did not start: {error}"}
            return
        self.log.add(ended)
        one |= {"exit_status": ended.code, "seconds": ended.seconds}
        try:
            reading = command.read(ended)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            reading = Reading("", well=False)
            unread = f"its output is not understood: {error}"
        else:
            unread = None
            one |= {"line": reading.line, "results": reading.facts}
        if ended.timed_out:
            one |= {"status": "timed out", "problem": f"did not end in {one['limit_seconds']:.0f} s"}
        elif ended.code != 0:
            one |= {"status": "failed", "problem": ended.problem()}
        elif not reading.well:
            one |= {"status": "failed", "problem": unread or reading.line}
        else:
            one |= {"status": "passed", "problem": None}
        if one["status"] != "passed":
            one["output_tail"] = (ended.output + ended.errors)[-TAIL:]

    def _ended(self, command: Command, limit: float) -> Ended:
        if command.signal in self.begun:
            command.signal.touch()
            return self.begun.pop(command.signal).end(limit)
        if command.result is not None:
            command.result.unlink(missing_ok=True)  # an earlier run's
        return self.run(command.words, self.environment, limit)


def _new_entry(command: Command) -> dict:
    return {"name": command.name, "command": shlex.join(command.words), "status": "skipped", "exit_status": None,
            "seconds": 0.0, "limit_seconds": command.seconds, "line": None, "problem": "not begun", "results": None,
            "output_tail": None}


def _told(one: dict) -> str:
    if one["status"] == "skipped":
        return f"skipped: {one['problem']}"
    parts = [one["line"], one["problem"] if one["status"] != "passed" else None]
    return f"{one['status']} after {one['seconds']:.1f} s: " + "; ".join(part for part in parts if part)


def all_well(entries: list[dict]) -> bool:
    return all(entry["status"] in GOOD for entry in entries)
