"""The direction of knowledge between the project's folders, read from the imports themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from import_rules import FOLDERS, HEAVY, circles, imports, modules, violations

ROOT = Path(__file__).resolve().parents[1]


def test_every_module_keeps_to_its_room() -> None:
    assert violations(ROOT) == []


def test_no_modules_import_each_other() -> None:
    assert circles(ROOT) == []


def test_the_whole_project_is_read() -> None:
    found = modules(ROOT)
    for name in (
        "shiftforge",
        "shiftforge.errors",
        "shiftforge.quant.graph.types",
        "shiftforge.cli",
        "shiftforge.sim.golden.conv.network",
        "shiftforge.sim.conv.layers",
    ):
        assert name in found
    files = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert set(found.values()) == files


def test_the_reference_imports_nothing_but_the_types_and_numpy() -> None:
    names = {
        entry.name
        for name, path in modules(ROOT).items()
        if name.startswith("shiftforge.sim.golden")
        for entry in imports(path)
    }
    own = {name for name in names if name.startswith("shiftforge")}
    assert "shiftforge.quant.graph.types.Conv" in own
    allowed = ("shiftforge.errors.", "shiftforge.quant.graph.types.", "shiftforge.sim.golden.")
    assert all(name.startswith(allowed) for name in own)
    foreign = {name.split(".")[0] for name in names - own}
    assert foreign - set(sys.stdlib_module_names) == {"numpy"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's modules, with one that loads torch; nothing is wrong in it."""
    tmp_path = tmp_path_factory.mktemp("copy")
    for folder in FOLDERS:
        if "/" not in folder:
            shutil.copytree(
                ROOT / folder,
                tmp_path / folder,
                ignore=lambda _, names: [
                    name for name in names if "." in name and not name.endswith(".py")
                ],
            )
    (tmp_path / "quant/planted.py").write_text("import torch\n\nx = 1\n", encoding="utf-8")
    assert violations(tmp_path) == []
    return tmp_path


@contextmanager
def planted(copy: Path, files: dict[str, str]) -> Iterator[None]:
    """Modules, by their path in the copy, that are there within the context alone."""
    for path, text in files.items():
        (copy / path).write_text(text + "\n", encoding="utf-8")
    try:
        yield
    finally:
        for path in files:
            (copy / path).unlink()


@pytest.mark.parametrize(
    ("path", "line", "message"),
    [
        ("quant/graph/bad.py", "import shiftforge.sim.conv.layers", "imports shiftforge.sim"),
        ("quant/calibrate/bad.py", "from shiftforge.generator import plan", "shiftforge.generator"),
        ("quant/capture/bad.py", "from shiftforge.boards import load", "shiftforge.boards"),
        ("quant/capture/bad.py", "import pyopencl", "pyopencl"),
        ("quant/formats/bad.py", "def f():\n    import torch", "torch"),
        ("quant/data/bad.py", "import importlib\nimportlib.import_module('torch')", "torch"),
        ("quant/graph/bad.py", "from shiftforge.quant.planted import x", "loads torch"),
        ("generator/conv/bad.py", "from shiftforge.sim import golden", "shiftforge.sim.golden"),
        ("generator/conv/bad.py", "from shiftforge.cli import x", "shiftforge.cli"),
        ("generator/conv/bad.py", "def f():\n    from torch import nn", "torch"),
        ("generator/conv/bad.py", "import pyopencl as cl", "pyopencl"),
        ("generator/conv/bad.py", "from shiftforge.quant.planted import x", "loads torch"),
        ("generator/cli/bad.py", "import torch", "loads torch"),
        ("generator/cli/bad.py", "from shiftforge.quant import planted", "loads torch"),
        ("generator/cli/bad.py", "from shiftforge.generator.api.errors import x", "itself"),
        ("generator/api/bad.py", "from .errors import Problem", "relative"),
        ("boards/bad.py", "from shiftforge.quant.graph.types import Conv", "shiftforge.quant"),
        ("kernels/bad.py", "import shiftforge.templates", "shiftforge.templates"),
        ("sim/bad.py", "class A:\n    import torch", "torch"),
        ("sim/bad.py", "def f():\n    from shiftforge.quant.planted import x", "loads torch"),
        ("sim/bad.py", "import pyopencl", "pyopencl"),
        ("sim/opencl/bad.py", "import transformers", "transformers"),
        ("sim/golden/bad.py", "from shiftforge.quant.formats import shift", "quant.formats"),
        ("sim/golden/bad.py", "from shiftforge.quant.graph import verify", "graph.verify"),
        ("sim/golden/bad.py", "from shiftforge.sim.conv.layers import x", "sim.conv.layers"),
        ("sim/golden/bad.py", "import shiftforge.kernels", "shiftforge.kernels"),
        ("sim/golden/bad.py", "import scipy", "scipy"),
        (
            "sim/golden/bad.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jax",
            "jax",
        ),
    ],
)
def test_a_planted_violation_is_caught(copy: Path, path: str, line: str, message: str) -> None:
    with planted(copy, {path: line}):
        caught = violations(copy)
    assert caught
    assert all(text.startswith(path) for text in caught)
    assert message in " ".join(caught)


def test_a_planted_circle_is_caught(copy: Path) -> None:
    text = "def f():\n    from shiftforge.quant.graph.{} import f".format
    after = {"one": "two", "two": "three", "three": "one", "beside": "one"}
    files = {f"quant/graph/{name}.py": text(other) for name, other in after.items()}
    files["quant/itself.py"] = "from shiftforge.quant import itself"
    circle = tuple(f"shiftforge.quant.graph.{name}" for name in ("one", "three", "two"))
    with planted(copy, files):
        found = circles(copy)
    assert set(found) - set(circles(ROOT)) == {circle, ("shiftforge.quant.itself",)}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("generator/cli/good.py", "def f():\n    import torch\n    from shiftforge import sim"),
        ("generator/conv/good.py", "from shiftforge import __version__"),
        ("sim/opencl/good.py", "import pyopencl\nfrom shiftforge.generator import plan"),
        ("quant/capture/good.py", "import torch\nfrom shiftforge.quant import graph"),
        ("generator/api/good.py", "def f():\n    from shiftforge.quant import planted"),
    ],
)
def test_what_the_layout_allows_passes(copy: Path, path: str, line: str) -> None:
    with planted(copy, {path: line}):
        assert violations(copy) == []


@pytest.mark.parametrize("name", ["shiftforge", "shiftforge.cli", "shiftforge.cli.main"])
def test_importing_loads_nothing_heavy(name: str) -> None:
    code = f"import {name}, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
