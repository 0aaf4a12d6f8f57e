"""Programs that are run: their status and output, and that none outlives who wanted it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import alive, wait_for

from shiftforge import tools
from shiftforge.tools import run_tool

# A program that starts another one, as a compiler does; both tell their numbers.
NESTED = "sh -c 'echo $$ >inner; sleep 600' & echo $$ >outer; wait"
PARENT = (
    "import sys\nfrom shiftforge.tools import run_tool\n"
    "run_tool(['sh', '-c', sys.argv[1]], folder=sys.argv[2])\n"
)


def test_status_and_output(tmp_path: Path) -> None:
    done = run_tool(["sh", "-c", "cat; echo bad >&2; exit 3"], text="said")
    assert (done.returncode, done.stdout, done.stderr) == (3, "said", "bad\n")
    assert run_tool(["sh", "-c", "kill -ABRT $$"]).returncode == -signal.SIGABRT
    done = run_tool(["/missing/program"])
    assert done.returncode == 127 and "/missing/program" in done.stderr
    done = run_tool(["sh", "-c", "printf '\\377'; pwd; echo $TMPDIR"], folder=tmp_path)
    assert done.stdout == f"\ufffd{tmp_path}\n{tmp_path}\n"


def numbers(folder: Path) -> list[int]:
    texts = [(folder / name) for name in ("inner", "outer")]
    return [int(path.read_text()) for path in texts if path.is_file() and path.read_text().strip()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_programs_end_with_the_process_that_wanted_them(
    number: signal.Signals, tmp_path: Path
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, NESTED, str(tmp_path)], stderr=subprocess.DEVNULL
    )
    assert wait_for(lambda: len(numbers(tmp_path)) == 2)
    pids = numbers(tmp_path)
    assert all(alive(pid) for pid in pids)
    parent.send_signal(number)
    parent.wait(timeout=60)
    assert wait_for(lambda: not any(alive(pid) for pid in pids))


def test_an_exception_ends_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: subprocess.Popen[str], text: str) -> None:
        assert wait_for(lambda: len(numbers(tmp_path)) == 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(tools.subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_tool(["sh", "-c", NESTED], folder=tmp_path)
    assert wait_for(lambda: not any(alive(pid) for pid in numbers(tmp_path)))
