"""Running programs: compilers, simulators, synthesis. None outlives the process that wants it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["NOT_STARTED", "run_tool", "supervised"]

_SUPERVISOR = str(Path(__file__).with_name("supervise.py"))
_PATIENCE_S = 10.0
NOT_STARTED = 127
"""The status of a program that cannot be started."""


def supervised(command: Sequence[str]) -> list[str]:
    """The command under ``supervise.py``, to be started by this process.

    To end it, SIGTERM goes to what was started; SIGKILL would leave what the program started.
    """
    return [sys.executable, "-I", "-S", _SUPERVISOR, str(os.getpid()), *command]


def run_tool(
    command: Sequence[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its status (below 0: the signal) and what it wrote.

    folder: that it runs in, and where it puts its temporary files. environment: in place of this
    process's. text: its standard input. It ends with this process, however that ends. Status
    NOT_STARTED: it cannot be started. Raises OSError where no process can be started.
    """
    variables = dict(os.environ if environment is None else environment)
    if folder is not None:
        variables["TMPDIR"] = os.path.abspath(folder)
    started = supervised(command)
    with subprocess.Popen(
        started, cwd=folder, env=variables, text=True, encoding="utf-8", errors="replace",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            out, errors = process.communicate(text)
        except BaseException:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        return subprocess.CompletedProcess(list(command), process.returncode, out, errors)
