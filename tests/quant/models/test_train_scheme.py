"""Training under schemes: groups, repeatability, resume after a kill, distillation, integers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from shiftforge.errors import InputError
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.fit import Progress, Recipe, Stage, accuracy, fit, learning_rate
from shiftforge.quant.models.networks import NETWORKS, build
from shiftforge.quant.models.qat import scheme_groups, train_scheme
from shiftforge.quant.models.run import RunConfig, run
from shiftforge.quant.schemes.activations import LsqActivations
from shiftforge.quant.schemes.base import Scheme
from shiftforge.quant.schemes.binary import BinaryConnect
from shiftforge.quant.schemes.dtssq import DTSSQ
from shiftforge.quant.schemes.inq import Inq
from shiftforge.quant.schemes.prepare import prepare
from shiftforge.quant.schemes.uniform import Uniform

PREPROCESS = Preprocess(1, 8, 8, (0.5,), (0.5,))
RECIPE = Recipe(epochs=3, rate=0.02, batch=8, shift=1, seed=5, freeze_epochs=1)
EIGHT = LsqActivations(8)


class Small(nn.Module):
    """Three convolutions, one in a residual branch, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4))
        self.deep = nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.deep(x) + x)
        scores: torch.Tensor = self.head(x.mean((2, 3)))
        return scores


def small() -> nn.Module:
    torch.manual_seed(2)
    return Small()


def examples(count: int = 24) -> Examples:
    """Two classes: the upper or the lower half is bright."""
    rng = np.random.default_rng(1)
    labels = np.arange(count, dtype=np.int64) % 2
    images = rng.integers(0, 60, (count, 8, 8, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4] += 150
    return Examples.of(images, labels, PREPROCESS, torch.device("cpu"))


def same(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


SCHEMES: list[Scheme] = [
    DTSSQ(4, target=0.25, gradient="fisher", every=2, activations=EIGHT),
    Uniform(4, activations=EIGHT),
    Inq(5),
    BinaryConnect(stochastic=True),
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)
def test_a_resumed_run_ends_at_the_same_weights(tmp_path: Path, scheme: Scheme) -> None:
    data = TrainingSet(examples(), examples())
    whole = train_scheme(small(), scheme, data, RECIPE, Stage("t"))
    torch.rand(3)
    train_scheme(small(), scheme, data, RECIPE, Stage("t", folder=tmp_path, stop_after=1))
    again = train_scheme(small(), scheme, data, RECIPE, Stage("t", folder=tmp_path))
    assert len(again.accuracies) == 2 and again.accuracies == whole.accuracies[1:]
    assert same(whole.network, again.network)
    # The two newest checkpoints stay.
    assert sorted(p.name for p in tmp_path.glob("*.safetensors")) == [
        f"t-00{i}.safetensors" for i in (2, 3)
    ]
    with pytest.raises(InputError, match="another training recipe"):
        other = replace(RECIPE, seed=6)
        train_scheme(small(), scheme, data, other, Stage("t", folder=tmp_path))


_KILLED = """
import os, signal, sys
from pathlib import Path
from test_train_scheme import EIGHT, RECIPE, examples, small
from shiftforge.quant.models.batches import TrainingSet
from shiftforge.quant.models.fit import Stage
from shiftforge.quant.models.qat import train_scheme
from shiftforge.quant.schemes.dtssq import DTSSQ
import torch
torch.set_num_threads(1)

def die(at):
    if at.epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)

data = examples()
scheme = DTSSQ(4, target=0.25, activations=EIGHT)
stage = Stage("t", folder=Path(sys.argv[1]), report=die)
train_scheme(small(), scheme, TrainingSet(data, data), RECIPE, stage)
"""


def test_killed_in_an_epoch_and_resumed(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], env=environment, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert sorted(p.name for p in tmp_path.glob("*.safetensors")) == [
        f"t-00{i}.safetensors" for i in (1, 2)
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data = TrainingSet(examples(), examples())
        scheme = DTSSQ(4, target=0.25, activations=EIGHT)
        resumed = train_scheme(small(), scheme, data, RECIPE, Stage("t", folder=tmp_path))
        whole = train_scheme(small(), scheme, data, RECIPE, Stage("t"))
    finally:
        torch.set_num_threads(threads)
    assert len(resumed.accuracies) == 1 and same(resumed.network, whole.network)


def test_quantisers_have_their_own_groups_and_rates() -> None:
    model = prepare(small(), DTSSQ(4, activations=EIGHT))
    recipe = replace(RECIPE, quantiser_rate=0.5, activation_rate=0.25)
    groups = scheme_groups(model, recipe)
    factors = [group.get("factor", 1.0) for group in groups]
    assert factors == [1.0, 1.0, 0.5, 0.25]
    decays = [group["weight_decay"] for group in groups]
    assert decays == [RECIPE.weight_decay, 0.0, 0.0, 0.0]
    # Masters decay; thresholds and steps do not. Every parameter is in one group.
    assert all(p.ndim > 1 for p in groups[0]["params"])
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_batch_norm_is_frozen_and_measured_again() -> None:
    both = TrainingSet(examples(), examples())
    frozen = replace(RECIPE, epochs=1, freeze_epochs=1, rate=1e-9)
    start = small()
    statistics = start.get_submodule("stem.1").state_dict()["running_mean"].clone()
    from shiftforge.quant.models.qat import Options

    kept = train_scheme(start, Uniform(8), both, frozen, Stage("t"), options=Options(recalibrate=0))
    assert torch.equal(kept.network.get_submodule("stem.1").running_mean, statistics)  # type: ignore[arg-type]
    fresh = train_scheme(start, Uniform(8), both, frozen, Stage("t"))
    assert not torch.equal(fresh.network.get_submodule("stem.1").running_mean, statistics)  # type: ignore[arg-type]


def test_distillation_follows_the_teacher() -> None:
    data = examples(64)
    teacher = small()
    fit(teacher, TrainingSet(data, data), replace(RECIPE, epochs=6, rate=0.2), Stage("f"))
    assert accuracy(teacher, data) > 0.9
    # Labels that are all wrong: what is learned can only come from the teacher.
    wrong = Examples(data.images, 1 - data.labels, data.preprocess)
    alone = replace(RECIPE, epochs=8, rate=0.2, distil=1.0)
    pupil = small()
    fit(pupil, TrainingSet(wrong, data), alone, Stage("p"), teacher=teacher)
    assert accuracy(pupil, data) > 0.9
    with pytest.raises(InputError, match="teacher"):
        fit(small(), TrainingSet(data, data), alone, Stage("p"))


def test_the_step_schedule() -> None:
    recipe = replace(RECIPE, schedule="step", warmup=0.0, rate=1.0)
    rates = [learning_rate(recipe, step, 100) for step in (0, 49, 50, 74, 75, 99)]
    assert rates == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("name", NETWORKS[:4])
def test_networks_are_seeded_and_take_the_pictures(name: str) -> None:
    network = build(name, PREPROCESS, 7, seed=1).eval()
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 7)
    if name != "resnet18":
        assert same(network, build(name, PREPROCESS, 7, seed=1))
        assert not same(network, build(name, PREPROCESS, 7, seed=2))


def test_resnet20_has_its_published_size() -> None:
    network = build("resnet20", Preprocess(3, 32, 32, (0.5,) * 3, (0.5,) * 3), 10)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    count = sum(p.numel() for p in network.parameters())
    # 0.27 M with option A; two 1x1 shortcuts with batch norm more here.
    assert len(layers) == 19 and count - (16 * 32 + 32 * 64 + 2 * 32 + 2 * 64) == 269_722


def test_networks_that_are_not_there() -> None:
    with pytest.raises(InputError, match="there is no network"):
        build("resnet9", PREPROCESS, 10)
    with pytest.raises(InputError, match="32 pixels"):
        build("mobilenet_v2", PREPROCESS, 10)


def write_cifar(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = rng.integers(0, 256, (6, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(6)
        (folder / f"{name}.bin").write_bytes(records.tobytes())


@pytest.mark.slow
def test_from_cifar_files_to_the_integer_graph(tmp_path: Path) -> None:
    write_cifar(tmp_path / "data")
    config = RunConfig(
        folder=tmp_path / "out",
        network="resnet8_small",
        data=f"cifar10:{tmp_path / 'data'}",
        scheme=DTSSQ(4, target=0.25, activations=EIGHT),
        epochs=1,
        tune_epochs=2,
        batch=12,
        validation=6,
        distil=0.5,
        device="cpu",
    )
    seen: list[Progress] = []
    done = run(config, seen.append)
    stages = list(dict.fromkeys(at.stage for at in seen))
    assert stages == ["float", "quantised", "final"]
    assert done.model is not None and not done.refused and len(done.layers) == 10
    verify(done.model)
    assert set(done.test) == {"float", "quantised", "integer"}
    with pytest.raises(InputError, match="holds a run"):
        run(config)
    again = run(replace(config, resume=True))
    assert again.model is not None and again.test == done.test
    for a, b in zip(done.model.conv_nodes(), again.model.conv_nodes(), strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)


@pytest.mark.slow
def test_a_scheme_without_integers_says_why(tmp_path: Path) -> None:
    write_cifar(tmp_path / "data")
    config = RunConfig(
        folder=tmp_path / "out",
        network="resnet8_small",
        data=f"cifar10:{tmp_path / 'data'}",
        scheme=Inq(5, activations=EIGHT),
        epochs=1,
        tune_epochs=1,
        batch=12,
        validation=6,
        device="cpu",
    )
    done = run(config)
    assert done.model is None and "eight" not in done.test
    assert any("shift array" in str(problem) for problem in done.refused)


def test_everything_wrong_is_listed_and_nothing_written(tmp_path: Path) -> None:
    config = RunConfig(
        folder=tmp_path / "out",
        network="resnet9",
        data="digitz",
        device="abacus",
        final_epochs=-1,
    )
    with pytest.raises(InputError) as error:
        run(config)
    assert len(error.value.problems) == 4 and not (tmp_path / "out").exists()
