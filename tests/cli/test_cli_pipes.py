"""A named pipe wherever a file or folder is asked for: refused, and never waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from devices import pretend_usable
from processes import shell

from shiftforge.cli.main import run

LONG = "n" * 300
DEEP = "d/" * 2100
COMMANDS = (
    ("quantize {}", "-o o.safetensors"),
    ("check {}", ""),
    ("generate {}", "--board s10gx2800 -o o"),
    ("generate m.safetensors --board {}", "-o o"),
    ("generate m.safetensors --board s10gx2800 -o {}", ""),
    ("boards {}", ""),
    ("emulate {} --device pocl --input random:0", ""),
    ("compare {} --from golden --to pocl --input random:0", ""),
    ("cosim {} --input random:0", ""),
)


@pytest.mark.parametrize(("command", "rest"), COMMANDS)
def test_what_is_no_file_is_refused(
    command: str,
    rest: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pretend_usable(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("pipe", "pipe.safetensors", "pipe.pth", "pipe.h5", "pipe.toml"):
        os.mkfifo(name)
    names = [*sorted(os.listdir()), "/dev/null", "/dev/full", LONG, DEEP, f"{LONG}.safetensors"]
    before = sorted(os.listdir())
    for name in names:
        words = [*command.format(name).split(), *rest.split()]
        assert run(words) == 2, words
        told = capsys.readouterr().err
        assert "error: " in told and "Traceback" not in told, (words, told)
    assert sorted(os.listdir()) == before


def test_nobody_waits_for_the_writer_of_a_pipe(tmp_path: Path) -> None:
    """In processes of their own, which a wait would hold."""
    for name in ("pipe.safetensors", "pipe.toml"):
        os.mkfifo(tmp_path / name)
    for command in ("generate pipe.safetensors --board s10gx2800 -o o", "boards ./pipe.toml"):
        done = shell(f"timeout 100 $SF {command}", tmp_path)
        assert done.returncode == 2 and "named pipe" in done.stderr, done
