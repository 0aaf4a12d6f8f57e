"""Signals: one line, the documented code, and nothing left behind, at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import alive, wait_for

# The signal comes while the command line is imported.
EARLY = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), int(sys.argv[1]))
sys.meta_path.insert(0, Finder())
from shiftforge.entry import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_imports(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY, str(int(number))],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 128 + number
    assert done.stderr.strip() in ("interrupted", f"ended by {number.name}")


JOB = """
import os
def sleep(folder):
    with open(os.path.join(folder, "child.new"), "w") as file:
        file.write(str(os.getpid()))
    os.rename(os.path.join(folder, "child.new"), os.path.join(folder, "child"))
    import time
    time.sleep(600)
"""
PROGRAM = """
import sys
import click
from shiftforge.cli import main as cli_main
folder = sys.argv.pop()
@click.command("work")
def work():
    from shiftforge.sim.opencl.child import in_child
    in_child("late_job:sleep", folder, "pocl", 600, "wait")
cli_main.cli.add_command(work)
sys.path.insert(0, folder)
from shiftforge.entry import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_while_a_child_works(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    (tmp_path / "late_job.py").write_text(JOB)
    parent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "work", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert wait_for((tmp_path / "child").is_file)
    pid = int((tmp_path / "child").read_text())
    parent.send_signal(number)
    _, told = parent.communicate(timeout=60)
    assert wait_for(lambda: not alive(pid))
    assert "Traceback" not in told
    if number != signal.SIGKILL:
        assert parent.returncode == 128 + number, told
        assert not list(temporary.iterdir())
        return
    from shiftforge.scratch import work_folder

    with work_folder("next"):
        pass
    assert not list(temporary.iterdir())


def test_a_hangup_that_was_ignored_stays_so() -> None:
    code = (
        "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from shiftforge import signals\nsignals.install()\n"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_the_program_begins_with_light_imports() -> None:
    code = "import sys\nfrom shiftforge.entry import main\nprint('typing' in sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"
