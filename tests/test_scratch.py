"""Folders for temporary work: gone after it, and those of killed processes with the next one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shiftforge import scratch
from shiftforge.errors import InputError
from shiftforge.scratch import clear_dead, work_folder

HOLD = """
import sys, time
from shiftforge.scratch import work_folder
with work_folder("test") as folder:
    (folder / "some").write_text("x")
    (folder / "deep").mkdir()
    (folder / "deep" / "more").write_text("x")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def held() -> tuple[subprocess.Popen[str], Path]:
    """A process that works in a folder."""
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, Path(child.stdout.readline().strip())


def test_a_work_folder_goes_whatever_ends_its_block(temporary: Path) -> None:
    with pytest.raises(KeyboardInterrupt), work_folder("test") as folder:
        assert folder.parent == temporary
        (folder / "file").write_text("x")
        raise KeyboardInterrupt
    assert not list(temporary.iterdir())


def test_the_next_run_removes_what_a_kill_left(temporary: Path) -> None:
    child, folder = held()
    with work_folder("test") as other:
        assert (folder / "some").is_file() and other != folder  # its owner lives
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert folder.is_dir()
    with work_folder("test"):
        assert not folder.exists()
    assert not list(temporary.iterdir())


def test_a_folder_of_somebody_else_stays(temporary: Path) -> None:
    own = temporary / "shiftforge-run-abcdefgh.work"
    own.mkdir()
    (own / "thesis.txt").write_text("x")
    target = temporary / "target"
    target.mkdir()
    (target / scratch._MARK).touch()
    (temporary / "shiftforge-run-linkedto.work").symlink_to(target)
    clear_dead(temporary)
    assert (own / "thesis.txt").is_file() and (target / scratch._MARK).is_file()


def test_a_kill_before_the_mark_leaves_an_empty_folder_that_goes(temporary: Path) -> None:
    (temporary / "shiftforge-run-abcdefgh.work").mkdir()
    clear_dead(temporary)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("named", ["missing", "file", "too" * 100])
def test_a_temporary_folder_that_cannot_be_used_is_refused(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TMPDIR", str(tmp_path / named))
    with pytest.raises(InputError) as refused, work_folder("test"):
        pass
    (problem,) = refused.value.problems
    assert "no temporary files" in problem.what and "TMPDIR" in problem.remedy
    assert named in problem.where


def test_a_full_disk_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="No space left") as refused, work_folder("test"):
        pass
    assert "TMPDIR" in refused.value.problems[0].remedy


def test_a_program_that_failed_on_a_full_disk_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from shiftforge.sim.rtl import verilator

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(verilator, "tool_environment", dict)
    with pytest.raises(InputError, match="No space left"), work_folder("test") as folder:
        monkeypatch.setattr(os, "posix_fallocate", full)
        verilator._run(["false"], folder)


def test_a_disk_that_fills_up_names_the_folder(temporary: Path) -> None:
    with pytest.raises(InputError, match="No space left") as refused, work_folder("test"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert refused.value.problems[0].where == str(temporary)
    with pytest.raises(FileNotFoundError), work_folder("test"):
        raise FileNotFoundError(errno.ENOENT, "not ours", "/elsewhere")
