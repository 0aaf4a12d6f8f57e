"""What a suite writes, run as CI runs it: in a clone, by another user, on real devices."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ci_suites import FAULTS, make_repository, run_suite

from shiftforge.sim.opencl.probe import probe_all

pytestmark = pytest.mark.slow
STEM = r"t\.stem <- stem \(example\.stem\): [\d,]+ of [\d,]+ values differ, the first at frame \d, "
STEM += r"channel \d+, row \d+, column \d+: -?\d+, expected"
ON_DEVICES = {
    "weight byte": rf"first differs from the reference in {STEM}",
    "kernel line": rf"first differs from the reference in {STEM}",
    "swapped in the text": r"(controller|conv|post) (reads empty|writes full) channel \w+",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("made") / "repository")


def test_the_workflow_s_own_line_in_a_clean_home(made: Path, tmp_path: Path) -> None:
    """Its command, from the root of a clone, with a home and a cache that are empty."""
    clone, home = tmp_path / "clone", tmp_path / "home"
    shutil.copytree(made, clone)
    home.mkdir()
    job = yaml.safe_load((clone / "ci/.gitlab-ci.yml").read_text())["shiftforge"]
    program, *rest = shlex.split(job["script"][-1])
    assert program == "shiftforge"
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "shiftforge", *rest],
        cwd=clone, env={**kept, "HOME": str(home)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    text = (clone / job["artifacts"]["reports"]["junit"]).read_text()
    assert 'failures="0" errors="0"' in text
    changed = sorted(path.name for path in clone.iterdir())
    assert changed == [".git", "ci", "design", "m.safetensors", "mine.toml",
                       "shiftforge-junit.xml"]  # fmt: skip


@pytest.mark.parametrize("fault", ON_DEVICES)
def test_devices_locate_a_fault(
    fault: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usable = [state.name for state in probe_all() if state.usable]
    if not usable:
        pytest.skip("no device is usable")
    shutil.copytree(made, tmp_path / "clone")
    FAULTS[fault](tmp_path / "clone")
    ran = run_suite(tmp_path / "clone/ci", capsys, "--time-limit", "60")
    assert ran.code == 1
    for name in usable:
        state, text = ran.checks[f"device {name}"]
        assert state == "failed" and re.search(ON_DEVICES[fault], text), (name, state, text)
