"""SIGKILL at a hundred random points of each command, over nothing and over an old output.

Half of the points are moments, half are calls that change a folder. After each the output is the
whole old one, the whole new one, or one that the same command is known to finish; run again, it
gives the very same bytes, and nothing is left beside them or in TMPDIR.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fork_server import Forks

from shiftforge.atomic import is_leftover
from shiftforge.errors import InputError
from shiftforge.generator.project import check_unedited, open_project
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.file import load_model, save_model

pytestmark = pytest.mark.slow

POINTS = 100
SIGKILL = -9
SMALL = ModelOptions(height=12, width=11)
_QUANTIZE = ("--calib", "random:0", "--calib-limit", "2")
_TRAIN = ("train", "--network", "resnet8_small", "--data", "digits", "--limit", "40",
          "--batch", "16", "--epochs", "2", "--tune-epochs", "1")  # fmt: skip

_NET = """
from torch import manual_seed, nn

def build():
    manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )

build.input_shape = (3, 32, 32)
"""

Tree = dict[str, bytes]


def tree(folder: Path) -> Tree:
    """Every file by its path; folders count as well."""
    return {
        str(p.relative_to(folder)): b"folder" if p.is_dir() else p.read_bytes()
        for p in sorted(folder.rglob("*"))
    }


def _without_leftovers(held: Tree) -> Tree:
    return {name: data for name, data in held.items() if not is_leftover(Path(name).name)}


@dataclass(frozen=True)
class Case:
    """A command that writes below the folder that it runs in.

    command: what is killed; again: what finishes it. whole: whether what a folder holds is known to
    be unfinished, or is whole; it gets a folder that is neither the old nor the new one.
    """

    command: tuple[str, ...]
    again: tuple[str, ...]
    whole: Callable[[Path], bool]
    old: tuple[str, ...]


def _design_is_told(folder: Path) -> bool:
    """An unfinished folder is refused as such; one that opens is whole."""
    try:
        check_unedited(open_project(folder / "out"))
    except InputError as error:
        text = str(error)
        return "unfinished" in text or "no shiftforge.json" in text or "no such folder" in text
    return True


def _model_is_whole(folder: Path) -> bool:
    """A model file is there whole or not at all."""
    path = folder / "out.safetensors"
    if path.exists():
        load_model(path)
    return True


def _run_goes_on(folder: Path) -> bool:
    """Half a run is what --resume is for; that it ends the same is seen when it does."""
    return True


CASES = {
    "generate": Case(
        ("generate", "new.safetensors", "--board", "a10gx1150", "-o", "out"),
        ("generate", "new.safetensors", "--board", "a10gx1150", "-o", "out"),
        _design_is_told,
        ("generate", "old.safetensors", "--board", "de10_nano", "-o", "out"),
    ),
    "quantize": Case(
        ("quantize", "net:build", "-o", "out.safetensors", *_QUANTIZE),
        ("quantize", "net:build", "-o", "out.safetensors", *_QUANTIZE),
        _model_is_whole,
        ("quantize", "net:build", "-o", "out.safetensors", "--scheme", "int",
         *_QUANTIZE),
    ),
    "train": Case(
        (*_TRAIN, "-o", "out", "--resume"),
        (*_TRAIN, "-o", "out", "--resume"),
        _run_goes_on,
        # A run that was stopped after its first epoch, and made with nothing else changed.
        (*_TRAIN, "-o", "out"),
    ),
}  # fmt: skip


def inputs(folder: Path) -> None:
    """What the commands read, in the folder that they run in."""
    for name, seed in (("new", 6), ("old", 7)):
        save_model(random_model(seed, SMALL), folder / f"{name}.safetensors")
    (folder / "net.py").write_text(_NET)


class Place:
    """The folder of one case: inputs, old and new output, and how long the command takes."""

    def __init__(self, case: Case, forks: Forks, folder: Path, over: bool) -> None:
        self.case, self.forks, self.folder = case, forks, folder
        self.inputs = folder / "inputs"
        self.inputs.mkdir()
        save_model(
            random_model(6, ModelOptions(height=12, width=11)), self.inputs / "new.safetensors"
        )
        save_model(
            random_model(7, ModelOptions(height=12, width=11)), self.inputs / "old.safetensors"
        )
        self.start = folder / "start"
        shutil.copytree(self.inputs, self.start)
        if over:
            self._run(self.start, case.old)
        self.old = tree(self.start)
        work = self.fresh("dry")
        done = self._run(work, case.command, counting=True)
        self.new, self.seconds, self.calls = tree(work), done[0], done[1]

    def fresh(self, name: str) -> Path:
        """A new folder to run in, and one for TMPDIR beside it."""
        work = self.folder / name
        shutil.copytree(self.start, work)
        (self.folder / f"{name}.tmp").mkdir()
        return work

    def _run(
        self, work: Path, command: tuple[str, ...], counting: bool = False
    ) -> tuple[float, int]:
        temporary = work.with_name(f"{work.name}.tmp")
        temporary.mkdir(exist_ok=True)
        point = -1 if counting else None
        done = self.forks.run(command, cwd=work, temporary=temporary, kill_at_call=point)
        assert done.code == 0, done.err
        assert list(temporary.iterdir()) == []
        return done.wall_s, done.calls

    def kill(self, number: int, at_call: int | None, after_s: float | None) -> bool:
        """One point; whether the kill came before the end. Asserts what must hold after it."""
        work = self.fresh(f"point{number}")
        temporary = work.with_name(f"{work.name}.tmp")
        done = self.forks.run(
            self.case.command, cwd=work, temporary=temporary,
            kill_at_call=at_call, kill_after_s=after_s,
        )  # fmt: skip
        assert done.code in (0, SIGKILL), done.err
        held = _without_leftovers(tree(work))
        if held not in (self.old, self.new):
            assert self.case.whole(work)
        self._run(work, self.case.again)
        found = tree(work)
        assert found.keys() == self.new.keys()
        assert [name for name in found if found[name] != self.new[name]] == []
        shutil.rmtree(work)
        shutil.rmtree(temporary)
        return done.code == SIGKILL


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    folder = tmp_path_factory.mktemp("warm")
    inputs(folder)
    with Forks([case.command for case in CASES.values()], folder) as server:
        yield server


@pytest.mark.parametrize("over", [False, True], ids=["over nothing", "over an old output"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_killed_at_random_points(name: str, over: bool, forks: Forks, tmp_path: Path) -> None:
    place = Place(CASES[name], forks, tmp_path, over)
    rng = random.Random(f"{name} {over}")
    killed = number = 0
    while killed < POINTS:  # a moment may come when the command has ended already
        at_call = rng.randrange(place.calls) if number % 2 else None
        after_s = None if number % 2 else rng.uniform(0, place.seconds)
        killed += place.kill(number, at_call, after_s)
        number += 1
        assert number < 3 * POINTS, "most kills come too late"
