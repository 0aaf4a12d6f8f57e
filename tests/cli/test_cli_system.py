"""What the system refuses: code 2 with a remedy, whatever is closed, full, missing or no text."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import click
import pytest
from processes import shell

from shiftforge.cli import main as cli_main
from shiftforge.errors import InputError, Problem
from shiftforge.faults import TRACEBACK, FaultError


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command("raise")
    @click.option("--json", "as_json", is_flag=True)
    def command(as_json: bool) -> None:
        raise error

    monkeypatch.setitem(cli_main.cli.commands, "raise", command)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/here"), "free some space"),
        (PermissionError(errno.EACCES, "Permission denied", "/here"), "permissions"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "ulimit -v"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (RecursionError(), "nested"),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates"), "UTF-8"),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "invalid"), "0xFF"),
        (ImportError("libx.so: failed to map segment", name="x"), "doctor"),
        (EOFError("marshal data too short"), "get it again"),
    ],
)
def test_what_the_system_refuses_is_bad_input(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert cli_main.run(["raise", "--json"]) == 2
    printed = capsys.readouterr()
    assert told in printed.err and "Traceback" not in printed.err
    (problem,) = json.loads(printed.out)["error"]
    assert problem["remedy"]


def test_any_other_exception_is_a_fault_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TRACEBACK, raising=False)
    raising(monkeypatch, KeyError("kernel_size"))
    assert cli_main.run(["raise", "--json"]) == 4
    printed = capsys.readouterr()
    assert "a fault of shiftforge itself: KeyError: 'kernel_size' (in " in printed.err
    assert TRACEBACK in printed.err and "Traceback" not in printed.err
    assert "KeyError" in json.loads(printed.out)["error"][0]["what"]
    monkeypatch.setenv(TRACEBACK, "1")
    assert cli_main.run(["raise"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_a_child_is_told_as_it_told_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, FaultError("KeyError: 'x' (in sim/x.py:3)"))
    assert cli_main.run(["raise"]) == 4
    assert "itself: KeyError: 'x' (in sim/x.py:3)\n" in capsys.readouterr().err


def test_a_module_of_ours_that_is_missing_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, ModuleNotFoundError("no", name="shiftforge.nothing"))
    assert cli_main.run(["raise"]) == 4


STREAMS = [
    (">/dev/full", 2, "standard output: the system refused: No space left"),
    (">/dev/full 2>/dev/full", 2, ""),
    ("2>/dev/full >/dev/null", 0, ""),
    (">&-", 2, "standard output: is closed"),
    (">&- 2>&-", 2, ""),
    ("2>&- >/dev/null", 0, ""),
    ("<&- >&- 2>&-", 2, ""),
    ("<&- >/dev/null", 0, ""),
]


@pytest.mark.parametrize("json_too", [False, True])
def test_streams_that_are_full_or_closed(json_too: bool) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    command = "$SF boards --json" if json_too else "$SF boards"
    for redirected, code, told in STREAMS:
        done = shell(f"exec 9>&1; {command} {redirected}; echo =$? >&9")
        assert done.stdout.endswith(f"={code}\n"), (redirected, done)
        assert told in done.stderr, (redirected, done)
        assert "Traceback" not in done.stderr and "ignored" not in done.stderr, done


def test_help_that_cannot_be_written() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    done = shell("$SF --help >/dev/full")
    assert done.returncode == 2 and "standard output: " in done.stderr, done
    done = shell("set -o pipefail; (sleep 1; $SF --help) | true")
    assert done.returncode == 0 and not done.stderr, done


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    done = shell("mkdir gone; cd gone; rmdir ../gone; $SF boards --json", tmp_path)
    assert done.returncode == 2, done
    assert "no longer exists" in json.loads(done.stdout)["error"][0]["what"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_arguments_and_output_that_are_no_text(environment: dict[str, str], tmp_path: Path) -> None:
    for command in (
        "boards $'x\\xff'",
        "quantize $'x\\xff' -o $'y\\xff.safetensors'",
        "generate $'x\\xff' --board s10gx2800 -o $'y\\xff'",
        "emulate $'x\\xff' --device pocl --input $'y\\xff'",
    ):
        done = shell(f"$SF {command} --json", tmp_path, environment)
        assert done.returncode == 2 and "\\udcff" in done.stderr, done
        assert json.loads(done.stdout)["error"], done
    done = shell("$SF boards", tmp_path, environment)
    assert done.returncode == 0 and "a10gx1150" in done.stdout, done


def test_a_limit_of_file_sizes_leaves_no_half_of_python_s_files(tmp_path: Path) -> None:
    """Python writes what the limit has room for, and reads the half of it from then on."""
    shell(f"ulimit -f 1; export PYTHONPYCACHEPREFIX={tmp_path}; $SF boards --json")
    written = {path.name.partition(".")[0] for path in tmp_path.rglob("*.pyc")}
    assert "main" not in written and "output" not in written


def test_few_open_files_and_no_home(tmp_path: Path) -> None:
    done = shell("unset HOME XDG_CACHE_HOME; ulimit -n 16; $SF boards --json", tmp_path)
    assert done.returncode == 0, done


def test_little_memory_is_refused_or_enough() -> None:
    done = shell("ulimit -v 200000; $SF boards --json")
    assert done.returncode in (0, 2) and "Traceback" not in done.stderr, done
    for command in ("quantize", "check", "train"):
        done = shell(f"ulimit -v 500000; $SF {command} --json")
        assert done.returncode == 2 and "ulimit -v" in done.stderr, done
    for command in ("generate", "unit"):
        done = shell(f"ulimit -v 100000; $SF {command} --json")
        assert done.returncode == 2 and "ulimit -v" in done.stderr, done


def test_doctor_tells_of_a_temporary_folder_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from shiftforge.cli import checks
    from shiftforge.sim.opencl import probe

    monkeypatch.delenv(probe.UNUSABLE, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    probe.probe.cache_clear()
    for check in (*checks.devices(), checks.resources()[1]):
        assert check.state == "failed" and "missing" in check.detail and "TMPDIR" in check.remedy


def test_doctor_looks_for_the_linker_of_pocl(monkeypatch: pytest.MonkeyPatch) -> None:
    from shiftforge.cli import checks

    monkeypatch.setenv("PATH", os.devnull)
    linker = next(check for check in checks.tools() if check.name == "ld")
    assert linker.state == "missing" and "pocl" in linker.detail and linker.remedy


def test_problems_of_an_input_come_before_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader that has left does not turn a refusal into a success, nor into a traceback."""
    raising(monkeypatch, InputError([Problem("one", "mend one")]))

    def left(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout.write", left, raising=False)
    assert cli_main.run(["raise", "--json"]) == 2
    assert "error: one" in capsys.readouterr().err
