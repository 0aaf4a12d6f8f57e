"""Runs command lines in forks of a process that has imported everything already.

Thousands of runs in the time that starting Python and PyTorch for each would take for tens; a fork
is killed, timed and measured as any process is. Used through ``Forks``; run as a program it is the
server.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRACEBACK = 99
"""Exit code of a fork whose command line let an exception through."""
_HUNG_S = 120.0
# Calls that change a folder: a kill "at a call" comes right before the n-th of them.
_CALLS = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "fsync", "open")


@dataclass(frozen=True)
class Outcome:
    """How a fork ended. code: exit code, or minus the signal. cpu_s: its processor time.
    grown: bytes of its largest resident set beyond what it was forked with. calls: how many calls
    that change folders it made (counted where asked for)."""

    code: int
    cpu_s: float
    wall_s: float
    grown: int
    out: str
    err: str
    calls: int = 0


class Forks:
    """A server of forks; a context manager. warm: command lines run once before the first fork, so
    that every import is done and no fork pays for it."""

    def __init__(self, warm: Sequence[Sequence[str]], folder: Path) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            cwd=folder, env=environment, text=True,
        )  # fmt: skip
        self._ask({"warm": [list(arguments) for arguments in warm]})

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(60)
        self._server.stdout.close()

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        temporary: Path,
        kill_after_s: float | None = None,
        kill_at_call: int | None = None,
    ) -> Outcome:
        """Run a command line. temporary: TMPDIR. kill_at_call: SIGKILL before that call, 0 first;
        -1 counts the calls and kills nothing."""
        return Outcome(
            **self._ask(
                {
                    "arguments": list(arguments),
                    "cwd": str(cwd),
                    "temporary": str(temporary),
                    "kill_after_s": kill_after_s,
                    "kill_at_call": kill_at_call,
                }
            )
        )

    def _ask(self, job: dict[str, Any]) -> Any:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with {self._server.wait()}")
        return json.loads(line)


def _count_calls(limit: int, counter: int) -> None:
    """Make every call that changes a folder count itself in the file ``counter``."""
    count = 0

    def counted(function: Any, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if name != "open" or (len(args) > 1 and args[1] & (os.O_WRONLY | os.O_RDWR)):
                if count == limit:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                os.pwrite(counter, str(count).encode(), 0)
            return function(*args, **kwargs)

        return call

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name), name))


def _child(job: dict[str, Any], out: int, err: int, counter: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ["TMPDIR"] = job["temporary"]
    tempfile.tempdir = None
    os.chdir(job["cwd"])
    code = TRACEBACK
    try:
        from shiftforge.cli.main import run

        if job["kill_at_call"] is not None:
            _count_calls(job["kill_at_call"], counter)
        code = run(job["arguments"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else TRACEBACK
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _fork(job: dict[str, Any]) -> dict[str, Any]:
    files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115 - closed below
    out, err, counter = (file.fileno() for file in files)
    before, started = _resident(), time.monotonic()
    child = os.fork()
    if child == 0:
        _child(job, out, err, counter)
    deadline = started + (_HUNG_S if job["kill_after_s"] is None else job["kill_after_s"])
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            break
        time.sleep(0.002)
    texts = [os.pread(fd, 1 << 20, 0).decode("utf-8", "replace") for fd in (out, err, counter)]
    for file in files:
        file.close()
    return {
        "code": os.waitstatus_to_exitcode(status),
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.monotonic() - started,
        "grown": max(0, used.ru_maxrss * 1024 - before),
        "out": texts[0],
        "err": texts[1],
        "calls": int(texts[2] or 0),
    }


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        job = json.loads(line)
        if "warm" in job:
            from shiftforge.cli.main import run

            codes = [run(arguments) for arguments in job["warm"]]
            answer: Any = codes
        else:
            answer = _fork(job)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
