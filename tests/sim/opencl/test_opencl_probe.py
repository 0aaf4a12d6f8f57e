"""Device probes: what is usable, what is told of the rest, and the processor that PoCL is told."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import pretend_usable, use_device

import shiftforge
from shiftforge.cli.main import run
from shiftforge.errors import InputError, ToolFailed
from shiftforge.sim.opencl import devices, pocl_processor, probe, probe_child
from shiftforge.sim.opencl.build import from_first_error
from shiftforge.sim.opencl.pocl_processor import MEND, NAME, REFUSAL, SUBSTITUTE, WIDE

ALL = ("pocl", "intel-cpu", "intel-fpga-emu")


@pytest.fixture(autouse=True)
def _nothing_is_declared(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Tests of decisions do not depend on what the environment declares."""
    if "device" not in request.fixturenames:
        monkeypatch.delenv(probe.UNUSABLE, raising=False)


def answer(detail: str = "fine", usable: bool = True, found: bool = True) -> dict[str, Any]:
    return {"found": found, "usable": usable, "detail": detail, "remedy": ""}


def child(name: str, **environment: str) -> probe.DeviceState:
    """What a fresh process makes of a device."""
    code = (
        "import dataclasses, json, sys\nfrom shiftforge.sim.opencl.probe import probe\n"
        "print(json.dumps(dataclasses.asdict(probe(sys.argv[1]))))"
    )
    inherited = {k: v for k, v in os.environ.items() if k not in (NAME, MEND)}
    done = subprocess.run(
        [sys.executable, "-c", code, name], capture_output=True, text=True, check=True,
        env={**inherited, **environment},
    )  # fmt: skip
    return probe.DeviceState(**json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked here does not depend on this machine's processor."""
    monkeypatch.setattr(probe, "wide_name", lambda processor: "")


@pytest.mark.parametrize("device", ALL)
def test_a_device_computes_the_probes_numbers(device: str) -> None:
    state = probe.probe(device)
    assert state.usable and state.found and not state.remedy


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        probe.probe("gpu")


def test_a_processor_that_pocl_does_not_know() -> None:
    """The same on every machine: PoCL is told the name that LLVM 14 gives a younger processor."""
    use_device("pocl")
    state = child("pocl", **{NAME: "generic"})
    assert state.usable
    assert f"told {SUBSTITUTE}" in state.detail and MEND in state.detail


@pytest.mark.slow
def test_a_name_below_the_librarys_own_is_not_usable() -> None:
    """It builds; the numbers are garbage, or the process dies of it."""
    use_device("pocl")
    state = child("pocl", **{NAME: "x86-64-v2"})
    assert state.found and not state.usable and state.remedy


def test_the_mend_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEND, "off")
    state = probe.decide("pocl", lambda name, more: answer(f"error: {REFUSAL}", usable=False))
    assert not state.usable
    assert "LLVM 14 does not know this processor" in state.detail and MEND in state.remedy


def test_only_that_very_failure_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(MEND, raising=False)
    asked: list[dict[str, str]] = []

    def ask(name: str, more: dict[str, str]) -> dict[str, Any]:
        asked.append(more)
        return answer("error: something else", usable=False)

    assert not probe.decide("pocl", ask).usable
    assert not probe.decide("intel-cpu", lambda n, m: answer(REFUSAL, usable=False)).usable
    assert asked == [{}] and NAME not in os.environ


@pytest.mark.parametrize("good", [True, False])
def test_the_mend_is_kept_only_with_right_numbers(
    good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "")  # so that it is restored
    monkeypatch.delenv(MEND, raising=False)

    def ask(name: str, more: dict[str, str]) -> dict[str, Any]:
        if not more:
            return answer(f"error: {REFUSAL}", usable=False)
        return answer() if good else answer("it computes wrong numbers", usable=False)

    state = probe.decide("pocl", ask)
    assert state.usable == good
    assert os.environ[NAME] == (SUBSTITUTE if good else "")
    assert ("wrong numbers" in state.detail) == (not good)


ZEN4 = "vendor_id\t: AuthenticAMD\nflags\t\t: avx2 avx512f avx512dq avx512cd avx512bw avx512vl fsrm"


@pytest.mark.parametrize("good", [True, False])
def test_wide_vectors_are_told_only_with_right_numbers(
    good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "")  # so that it is restored
    monkeypatch.delenv(MEND, raising=False)
    monkeypatch.setattr(probe, "wide_name", pocl_processor.wide_name)
    monkeypatch.setattr(probe, "processor", lambda: ZEN4)

    def ask(name: str, more: dict[str, str]) -> dict[str, Any]:
        return answer() if good or not more else answer("it computes wrong numbers", usable=False)

    state = probe.decide("pocl", ask)
    assert state.usable and (f"told {WIDE}" in state.detail) == good
    assert os.environ[NAME] == (WIDE if good else "")


def test_other_processors_are_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(MEND, raising=False)
    assert pocl_processor.wide_name(ZEN4) == WIDE
    assert pocl_processor.wide_name(ZEN4.replace("AuthenticAMD", "GenuineIntel")) == ""
    assert pocl_processor.wide_name(ZEN4.replace("avx512vl", "")) == ""
    monkeypatch.setenv(NAME, "x86-64-v3")
    assert pocl_processor.wide_name(ZEN4) == ""
    monkeypatch.delenv(NAME)
    monkeypatch.setenv(MEND, "off")
    assert pocl_processor.wide_name(ZEN4) == ""


def test_another_library_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocl_processor, "_told", [])
    monkeypatch.delenv(MEND, raising=False)
    monkeypatch.setenv(NAME, SUBSTITUTE)
    (tmp_path / "libpocl.so").write_bytes(b"another")
    for library in (None, tmp_path / "libpocl.so", tmp_path / "none.so"):
        with pytest.raises(ToolFailed, match="not the one of"):
            pocl_processor.apply_name(library)
    monkeypatch.setenv(MEND, "off")
    pocl_processor.apply_name(None)


def test_other_instructions_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    library = devices._pocl_library()
    if library is None:
        pytest.skip("PoCL is not installed")
    monkeypatch.setattr(pocl_processor, "_told", [])
    monkeypatch.delenv(MEND, raising=False)
    monkeypatch.setenv(NAME, SUBSTITUTE)
    monkeypatch.setattr(pocl_processor, "_EXPECTED", bytes(22))
    with pytest.raises(ToolFailed, match="begins with other instructions"):
        pocl_processor.apply_name(library)


def test_a_system_that_refuses_the_change_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ctypes.create_string_buffer(b"unchanged")
    with pytest.raises(ToolFailed, match="keeps its code from being changed"):
        pocl_processor._overwrite(8, b"\0" * 22, "x")  # page 0 is nobody's
    assert text.value == b"unchanged"


def test_wrong_numbers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, narrow = probe_child._expected(np.zeros((2, 64, 8), np.uint8))
    wrong = wide.copy()
    wrong[3, 5] += 1

    class Device:
        platform = None

    monkeypatch.setattr(probe_child, "open_device", lambda name: Device())
    monkeypatch.setattr(probe_child, "build_program", lambda *_: None)
    monkeypatch.setattr(probe_child, "_run", lambda *_: (wrong, narrow))
    monkeypatch.setattr(probe_child, "_expected", lambda _: (wide, narrow))
    pyopencl = pytest.importorskip("pyopencl")
    monkeypatch.setattr(pyopencl, "Context", lambda _: None)
    with pytest.raises(ToolFailed, match=r"wide\[3, 5\] is 1, expected 0"):
        probe_child.check_probe("pocl")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os.abort()", "status -6, killed by SIGABRT"),
        ("raise SystemExit('no loader')", "no loader"),
        ("import time; time.sleep(60)", "no answer in 1 s"),
        ("print('hello')", "no answer that can be read"),
        ("print('{}')", "no answer that can be read"),
    ],
)
def test_a_runtime_that_fails_is_told(
    code: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "TIME_LIMIT_S", 1.0)
    found = probe._ask_child("pocl", {}, ("-c", code))
    assert found["found"] and not found["usable"] and told in found["detail"]


def test_a_device_can_be_declared_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(probe.UNUSABLE, "pocl, intel-cpu")
    for name in ALL:
        assert probe.decide(name, lambda n, m: answer()).usable == (name == "intel-fpga-emu")
    monkeypatch.setenv(probe.UNUSABLE, "typo")
    with pytest.raises(InputError, match="names no device: typo"):
        probe.decide("pocl", lambda n, m: answer())


def test_an_unusable_device_is_refused_with_reason_and_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend_usable(monkeypatch, "pocl")
    with pytest.raises(InputError) as caught:
        probe.require_device("pocl")
    (problem,) = caught.value.problems
    assert "pocl was planted" in problem.what
    assert "mend it" in problem.remedy and "intel-cpu, intel-fpga-emu" in problem.remedy


def test_the_python_default_is_the_first_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    from shiftforge.steps import default_device

    pretend_usable(monkeypatch, "pocl")
    with pytest.warns(UserWarning, match="pocl is skipped: pocl was planted"):
        assert default_device() == "intel-cpu"
    pretend_usable(monkeypatch, *ALL)
    with pytest.raises(ToolFailed, match="no OpenCL device is usable here"):
        default_device()
    assert shiftforge.emulate.__name__ == "emulate"


def test_a_tool_that_fails_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from shiftforge.cli import checks

    def fail() -> Any:
        raise ToolFailed("it crashed")

    monkeypatch.setattr(checks, "all_checks", fail)
    assert run(["doctor", "--json"]) == 3
    printed = capsys.readouterr()
    assert "tool failed: it crashed" in printed.err
    assert json.loads(printed.out)["error"][0]["what"] == "it crashed"


def test_a_log_is_told_from_its_first_error_with_whole_paths() -> None:
    path = "/a" * 150 + "/kernel.cl"
    noise = [f"{path}:{i}: warning: unused" for i in range(100)]
    after = [f"note {i}" for i in range(60)]
    told = from_first_error("\n".join([*noise, f"{path}:7:3: error: no such name", *after]))
    lines = told.splitlines()
    assert lines[0] == f"{path}:7:3: error: no such name"
    assert lines[-1] == "(21 more lines)" and len(lines) == 41
    assert from_first_error("nothing of the kind") == "nothing of the kind"


@pytest.mark.parametrize("device", ALL)
def test_a_home_that_cannot_be_written_to_costs_no_device(device: str) -> None:
    assert child(device, HOME="/proc", XDG_CACHE_HOME="").usable


def test_modules_of_the_current_folder_are_not_the_childs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lowered: str
) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    assert probe._ask_child(lowered, {})["usable"]
