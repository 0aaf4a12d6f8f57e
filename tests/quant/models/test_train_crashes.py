"""Training that is killed between any two writes: the run that goes on ends with the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from crashes import Killed, changes_of, contents, killed_at
from test_train_scheme import EIGHT, RECIPE, Small, examples, small

from shiftforge.cli.main import cli
from shiftforge.quant.data.labelled import Dataset, Labelled
from shiftforge.quant.models import run as runs
from shiftforge.quant.models.batches import TrainingSet
from shiftforge.quant.models.fit import Stage
from shiftforge.quant.models.qat import train_scheme
from shiftforge.quant.schemes.dtssq import DTSSQ


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def killed_everywhere(place: Path, program: Callable[[Path], object]) -> None:
    """Every change of a run does not happen once; the run after it ends as an unbroken one."""
    program(place / "first")  # what is made once in a process is no change of the others
    count = changes_of(lambda: program(place / "whole"))
    wanted = contents(place / "whole")
    assert count > 4 and wanted == contents(place / "first")
    for last in range(1, count + 1):
        folder = place / f"killed-{last}"
        with pytest.raises(Killed), killed_at(last):
            program(folder)
        program(folder)
        assert contents(folder) == wanted, f"killed at change {last} of {count}"


def test_a_stage_of_a_scheme_with_a_history(tmp_path: Path) -> None:
    data = TrainingSet(examples(), examples())
    scheme = DTSSQ(4, target=0.25, activations=EIGHT)
    killed_everywhere(
        tmp_path, lambda folder: train_scheme(small(), scheme, data, RECIPE, Stage("t", folder))
    )


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network and data of little time in the place of every other."""

    def build(name: str, preprocess: object, classes: int, seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        return Small()

    def part() -> Labelled:
        held = examples()
        return Labelled(held.images.permute(0, 2, 3, 1).numpy(), held.labels.numpy())

    def load(spec: str, **_: object) -> Dataset:
        return Dataset(spec, part(), part(), ("up", "down"), False)

    monkeypatch.setattr(runs, "build", build)
    monkeypatch.setattr(runs, "load_dataset", load)


LINE = ["train", "--network", "resnet8_small", "--data", "digits", "--batch", "8", "--epochs", "3",
        "--device", "cpu", "--resume"]  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        ["--tune-epochs", "0"],
        pytest.param(["--tune-epochs", "3", "--final-epochs", "1"], marks=pytest.mark.slow),
    ],
)
def test_a_run_of_the_command(tiny: None, more: list[str], tmp_path: Path) -> None:
    def program(folder: Path) -> None:
        # Not ``run``, which takes whatever is raised for an end that it has to tell of.
        cli.main([*LINE, *more, "-o", str(folder)], standalone_mode=False)

    killed_everywhere(tmp_path, program)
