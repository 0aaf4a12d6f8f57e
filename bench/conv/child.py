"""A stage of the benchmark in a process of its own, with the peak of its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Child"]

STAGES = Path(__file__).with_name("stages.py")


class Child:
    """A stage of ``stages.py`` in a process of its own: JSON lines on its input and output.

    The peak of its memory is then its own alone. The parent stays small, because a forked child's
    peak begins at its parent's size. stages: the file with them, of this checkout or another.
    """

    def __init__(
        self, stage: str, *arguments: str, environment: Mapping[str, str], stages: Path = STAGES
    ) -> None:
        command = [sys.executable, str(stages), stage, *arguments]
        self.stage = stage
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def answer(self) -> dict[str, Any]:
        """The next line it prints; ends the run where there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"stage {self.stage} failed (status {self.process.wait()})")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self) -> dict[str, Any]:
        """Have it do its work once more."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> float:
        """Close it; the peak resident memory of it or the largest of its children, in MB."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise SystemExit(f"stage {self.stage} failed (status {self.process.returncode})")
        return usage.ru_maxrss * 1024 / 1e6

    def kill(self) -> None:
        """End it at once where it still runs."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
