"""docs/BRING_YOUR_OWN.md runs as it stands, on generated pictures, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from picture_trees import picture_tree

PAGE = Path(__file__).parents[1] / "docs" / "BRING_YOUR_OWN.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the notebook has run, in a process of its own."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("walk")
    picture_tree(folder / "pictures" / "train", each=12, side=20)
    picture_tree(folder / "pictures" / "test", each=5, side=24, seed=1)
    text = "\n\n".join(blocks("python"))
    # The last line of a block shows an object in a notebook.
    shown = re.sub(r"^(report|model|design|found)$", r"assert \1._repr_html_()", text, flags=re.M)
    (folder / "notebook.py").write_text(shown)
    done = subprocess.run(
        [sys.executable, "notebook.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "printed").write_text(done.stdout)
    return folder


@pytest.mark.device("pocl")
def test_the_notebook(walked: Path) -> None:
    lines = (walked / "printed").read_text().splitlines()
    shares = [line for line in lines if "top-1" in line]
    assert [line.split(":")[0].strip() for line in shares] == ["float", "golden", "pocl"]
    assert all("100.0%" in line for line in shares)
    assert lines[-1] == "['blue', 'blue', 'blue', 'blue']"
    assert (walked / "project" / "device" / "accelerator.cl").is_file()


@pytest.mark.device("pocl")
def test_the_shell(walked: Path) -> None:
    in_shell(blocks("sh")[0], walked)
    assert (walked / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert (walked / "logits.npz").is_file()


@pytest.mark.slow
@pytest.mark.device("pocl")
def test_the_rest_of_the_shell(walked: Path) -> None:
    in_shell(blocks("sh")[0].splitlines()[0] + "\n" + blocks("sh")[1], walked)


def in_shell(text: str, walked: Path) -> None:
    for line in text.splitlines():
        words = [sys.executable, "-m", *line.split()]
        done = subprocess.run(
            words, cwd=walked, capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert done.returncode == 0, line + done.stdout + done.stderr


def test_nothing_of_the_page_is_left_out() -> None:
    assert len(blocks("python")) >= 7 and len(blocks("sh")) == 2
    assert PAGE.read_text().count("```") == 2 * (len(blocks("python")) + len(blocks("sh")))
