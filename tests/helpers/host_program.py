"""A project's host program: run by itself, or in the test's process with pretended platforms."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest


@dataclass(frozen=True)
class FakeDevice:
    """What the program reads of a device before it builds."""

    name: str
    extensions: str = ""


@dataclass(frozen=True)
class FakePlatform:
    """What the program reads of a platform."""

    name: str
    devices: tuple[FakeDevice, ...]

    def get_devices(self) -> list[FakeDevice]:
        return list(self.devices)


BOARD = "Intel(R) FPGA SDK for OpenCL(TM)"
EMULATOR = "Intel(R) FPGA Emulation Platform for OpenCL(TM)"
ON_BOARD = FakePlatform(BOARD, (FakeDevice("pac_a10 : Intel PAC Platform (pac_ec00000)"),))
LEGACY = FakePlatform(BOARD, (FakeDevice("EmulatorDevice : Emulated Device"),))
EMULATED = FakePlatform(EMULATOR, (FakeDevice("Intel(R) FPGA Emulation Device"),))
POCL = FakePlatform("Portable Computing Language", (FakeDevice("pthread"),))


def run_host(folder: Path, *options: str, icd: Path | None = None) -> subprocess.CompletedProcess:
    """The program under plain Python, which sees installed packages alone."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYPYPATH")}
    if icd is not None:
        library = Path(sys.prefix) / "lib/libintelocl_emu.so"
        icd.mkdir()
        (icd / "emulator.icd").write_text(f"{library}\n")
        environment |= {
            "OCL_ICD_VENDORS": str(icd),
            "LD_LIBRARY_PATH": str(library.parent),
            "CL_CONFIG_CPU_TBB_NUM_WORKERS": "32",
            "CL_CONFIG_CPU_FORCE_LOCAL_MEM_SIZE": "64MB",
        }
    command = [sys.executable, "-I", "host/host.py", "--source", *options]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip


def load_host(
    folder: Path, monkeypatch: pytest.MonkeyPatch, platforms: Sequence[FakePlatform] = ()
) -> ModuleType:
    """The program of a folder as a module that sees these platforms."""
    monkeypatch.setenv("POCL_KERNEL_CACHE", "0")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("generated_host", folder / "host/host.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.cl, "get_platforms", lambda: list(platforms))
    return module


def call(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """Its exit code on a command line."""
    monkeypatch.setattr(sys, "argv", ["host.py", *options])
    code = module.main()
    assert isinstance(code, int)
    return code


def refused(
    module: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *options: str,
) -> str:
    """The one line that a command line is refused with; nothing is printed beside it."""
    capfd.readouterr()
    assert call(module, monkeypatch, *options) == 2
    out, err = capfd.readouterr()
    assert not out and len(err.splitlines()) == 1, (out, err)
    assert err.startswith("host.py: error: ") and " -> " in err, err
    return err
