"""doctor: what it finds, and each kind of fault planted."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from shiftforge.generator.cli import checks
from shiftforge.generator.cli.main import run
from shiftforge.generator.cli.tested import TESTED, Package

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def test_doctor_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert all(set(check) == {"name", "ok", "detail", "remedy"} for check in found)
    assert code == (0 if all(check["ok"] for check in found) else 1)
    names = [check["name"] for check in found]
    for name in ("python", "platform", "numpy", "torch", "aoc", "memory", "disk"):
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


@pytest.mark.parametrize(
    ("probe", "told"),
    [
        ("raise SystemExit('no loader')", "no loader"),
        ("import os; os.abort()", "exit code -6"),
        ("import time; time.sleep(60)", "no answer"),
    ],
)
def test_runtime_that_fails_does_not_take_doctor_with_it(probe: str, told: str) -> None:
    (found,) = checks.devices(probe, timeout_s=2)
    assert not found.ok
    assert told in found.detail
    assert found.remedy


def test_old_python_fails() -> None:
    assert not checks.python_version((3, 10, 4)).ok
    assert checks.python_version((3, 11, 0)).ok
    assert "tested" in checks.python_version((3, 14, 0)).detail


def test_optional_tools_never_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = checks.tools()
    assert all(check.ok and re.match("not found, optional", check.detail) for check in found)
