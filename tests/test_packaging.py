"""The package list, and the wheel installed outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("boards", "generator", "kernels", "quant", "sim", "templates")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def folder_of(package: str) -> str:
    """Folder of a package in the checkout, by the longest entry of package-dir."""
    parts = package.split(".")
    for length in range(len(parts), 0, -1):
        known = SETUPTOOLS["package-dir"].get(".".join(parts[:length]))
        if known is not None:
            return "/".join([known, *parts[length:]])
    raise AssertionError(f"{package} has no folder")


def test_every_package_folder_is_listed() -> None:
    found = [path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py")]
    folders = {str(folder.relative_to(ROOT)) for folder in found}
    assert folders == {folder_of(package) for package in SETUPTOOLS["packages"]}


def test_every_folder_with_modules_is_a_package() -> None:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def tracked_files() -> list[str]:
    """Files of the rooms that git does not ignore."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *ROOMS],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return done.stdout.split()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    pytest.importorskip("setuptools")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for name in tracked_files():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    target = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index",
         "-q", "-w", str(target), str(source)],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("shiftforge-*.whl")
    return built


def test_wheel_holds_every_tracked_file(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    lacking = []
    for name in tracked_files():
        if not (ROOT / name).is_file():
            continue
        inside = name.removeprefix("generator/api/")
        if name.startswith("generator/cli/"):
            inside = name.removeprefix("generator/")
        if f"shiftforge/{inside}" not in held:
            lacking.append(name)
    assert not lacking


def test_wheel_holds_nothing_else_at_the_top(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"shiftforge"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; third-party packages are those of this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    site = next(home.glob("lib/python*/site-packages"))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "install", "-q",
         "--no-deps", "--no-index", str(wheel)],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Links to everything but this project: a .pth file would let the checkout's own install in.
    for folder in {Path(p) for p in sys.path if p.endswith("site-packages")}:
        for entry in folder.iterdir():
            ours = "shiftforge" in entry.name.lower() or entry.suffix == ".pth"
            if not ours and not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry)
    # The OpenCL runtimes put their shared libraries into lib/ of the environment.
    for library in (Path(sys.prefix) / "lib").iterdir():
        if not (home / "lib" / library.name).exists():
            (home / "lib" / library.name).symlink_to(library)
    return home


def run_installed(
    home: Path, folder: Path, *arguments: str, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    """Runs the installed script in an empty folder, with a clean environment."""
    done = subprocess.run(
        [str(home / "bin/shiftforge"), *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, done.stderr
    return done


def test_installed_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    assert "0.1.0" in run_installed(installed, tmp_path, "--version").stdout
    boards = json.loads(run_installed(installed, tmp_path, "boards", "--json").stdout)
    shipped = {path.stem for path in (ROOT / "boards").glob("*.toml")}
    assert len(boards) == len(shipped) and {board["name"] for board in boards} == shipped
    run_installed(installed, tmp_path, "boards", "nope", expect=2)
    where = subprocess.run(
        [str(installed / "bin/python"), "-c", "import shiftforge; print(shiftforge.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(installed))


def test_main_job_outside_the_checkout(installed: Path, tmp_path: Path, lowered: str) -> None:
    """Quantise, generate and run on a device with the wheel alone: templates and data are in it."""
    for package in ("torch", "pyopencl"):
        pytest.importorskip(package)
    (tmp_path / "tiny.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6(),\n"
        "        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)).eval()\n"
    )
    run_installed(
        installed, tmp_path, "quantize", "tiny:build", "-o", "m.safetensors", "--calib", "random:1",
        "--calib-limit", "2", "--resolution", "32",
    )  # fmt: skip
    run_installed(installed, tmp_path, "generate", "m.safetensors", "--board", "a10gx1150",
                  "-o", "project")  # fmt: skip
    told = run_installed(
        installed, tmp_path, "emulate", "project", "--device", lowered, "--input", "random:2",
        "--limit", "2", "--check", "--json",
    )  # fmt: skip
    report = json.loads(told.stdout)
    assert report["bit_exact"]
    assert report["elements"] > 0
