"""One process from its start to its end: output, time, and the most memory that it held.

The memory is what the system counted for the process (wait4), one ruler for all contestants. It counts what the process
was before it became another program, too, so the process that calls this must stay small: no torch in it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

KIBIBYTE = 1024


@dataclass(frozen=True)
class Ended:
    command: list[str]
    code: int  # below zero: the signal
    output: str
    errors: str
    seconds: float
    peak_bytes: int
    timed_out: bool

    def problem(self) -> str | None:
        """A line on what went wrong."""
        if self.code == 0:
            return None
        how = f"killed by signal {-self.code}" if self.code < 0 else f"exit code {self.code}"
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return f"{how}: {lines[-1][:200]}" if lines else how


class Running:
    """A command that has been started. It must be ended, or killed: its files go with that."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.command, self.start = command, time.monotonic()
        self._output, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._errors,
                                         env={**os.environ, **(environment or {})}, start_new_session=True)

    def has_ended(self) -> bool:
        """Its status is left to `end`."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self, timeout: float | None = None) -> Ended:
        """Waits for it. Its children go with it: of its session nothing is left at the time-out or the end."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(self._process.pid)

        timer = threading.Timer(timeout, stop) if timeout is not None else None
        if timer is not None:
            timer.start()
        try:
            _, status, usage = os.wait4(self._process.pid, 0)
        except BaseException:  # Ctrl-C came to us alone
            self.kill()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        _kill(self._process.pid)  # a compiler's helpers would take the processor from whoever comes next
        self._process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - self.start
        with self._output, self._errors:
            return Ended(self.command, self._process.returncode, _text(self._output), _text(self._errors), seconds,
                         usage.ru_maxrss * KIBIBYTE, late.is_set())

    def kill(self) -> None:
        _kill(self._process.pid)
        self._process.wait()
        self._output.close()
        self._errors.close()


def run(command: list[str], environment: dict[str, str] | None = None, timeout: float | None = None) -> Ended:
    return Running(command, environment).end(timeout)


def _kill(session: int) -> None:
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it had no children, or they have ended


def _text(file) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
