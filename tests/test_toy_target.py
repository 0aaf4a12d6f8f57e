"""A third target in one file: a network of one kind, one kernel, one golden, registered from here.

What it shows: a new accelerator goes from a quantised file through generate, emulate and compare by
the public protocols alone, with no line changed elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devices import use_device
from safetensors.numpy import load_file, save_file

from shiftforge.boards.types import Board
from shiftforge.checking import check_draft
from shiftforge.cli.main import run as shiftforge
from shiftforge.errors import InputError, Problem
from shiftforge.generator.board_fit import Estimate, Use
from shiftforge.generator.checking import CheckReport, CheckRow
from shiftforge.generator.design import Design
from shiftforge.generator.project import Project
from shiftforge.generator.target import Checks, register_target
from shiftforge.sim.opencl.build import build_program
from shiftforge.sim.opencl.child import in_child
from shiftforge.sim.opencl.devices import open_device
from shiftforge.sim.results import Run
from shiftforge.sim.runner import GOLDEN, Base, Options, Progress, register_runner
from shiftforge.sim.trace import Stage

KERNEL = """__attribute__((max_global_work_dim(0)))
__kernel void scale(__global const int *restrict x, __global int *restrict y, int n) {
  for (int i = 0; i < n; i++) y[i] = x[i] SHIFT;
}
"""


@dataclass(frozen=True)
class ToyOptions:
    """alms: what the kernel is said to take."""

    alms: int = field(default=10, metadata={"min": 1, "help": "A toy's ALMs."})


@dataclass(frozen=True)
class ToyPlan:
    """A vector shifted left by ``shift`` places."""

    shift: int
    board: Board
    options: ToyOptions


class ToyTarget:
    """y = x << shift."""

    kind = "toy"
    options = ToyOptions

    def load(self, file: Path) -> int:
        return int(load_file(file)["shift"][0])

    def plan(self, network: int, board: Board, options: ToyOptions) -> ToyPlan:
        if not 0 <= network < 16:
            raise InputError(Problem(f"a shift of {network}", "use 0 to 15"))
        return ToyPlan(network, board, options)

    def estimate(self, plan: ToyPlan) -> Estimate:
        use = Use("ALMs", plan.options.alms, plan.board.alm, "a smaller toy")
        return Estimate(plan.board, (use,))

    def emit(self, plan: ToyPlan) -> Design:
        text = KERNEL.replace("SHIFT", f"<< {plan.shift}")
        return Design(
            {"device/toy.cl": text.encode()}, {"shift": plan.shift}, {"shift": plan.shift}
        )


def on_device(job: tuple[str, str, Any]) -> Any:
    """The child's part of a run."""
    import pyopencl as cl

    device, text, x = job
    context = cl.Context([open_device(device)])
    queue, y = cl.CommandQueue(context), np.zeros_like(x)
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    buffers = [cl.Buffer(context, flags, hostbuf=array) for array in (x, y)]
    kernel = cl.Kernel(build_program(context, text), "scale")
    kernel(queue, (1,), (1,), *buffers, np.int32(len(x)))
    cl.enqueue_copy(queue, y, buffers[1])
    queue.finish()
    return y


class ToyRunner(Base):
    """Vectors of random numbers."""

    def samples(self, project: Project, spec: str, limit: int | None, options: Options) -> Any:
        rng = np.random.default_rng(int(spec.removeprefix("random:")))
        return rng.integers(-99, 99, limit or 16, dtype=np.int32)

    def run(
        self, project: Project, samples: Any, at: str, *, every_stage: bool = True,
        time_limit_s: float = 600.0, progress: Progress | None = None,
    ) -> Run:  # fmt: skip
        if at == GOLDEN:
            y = samples << int(project.manifest["shift"])
        else:
            job = (at, project.path("device/toy.cl").read_text(), samples)
            y = in_child("test_toy_target:on_device", job, at, time_limit_s, "take fewer", progress)
        return Run(at, (Stage("scale", ("sample",), lambda: y, label="the scaled vector"),), y)


TARGET, RUNNER = ToyTarget(), ToyRunner()
register_target("toy", "toys", "test_toy_target:TARGET", "test_toy_target:ToyOptions")
register_runner("toy", "test_toy_target:RUNNER")


def test_from_a_file_to_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, folder = tmp_path / "toy.safetensors", str(tmp_path / "project")
    header = {"shiftforge": json.dumps({"kind": "toy"})}
    save_file({"shift": np.array([3], np.int32)}, model, metadata=header)
    generate = ["generate", str(model), "--board", "de10_nano", "-o", folder, "--json"]
    assert shiftforge([*generate, "--alms", "10000000"]) == 2
    assert shiftforge([*generate, "--units", "16"]) == 2
    assert "--units is for convolutions" in capsys.readouterr().err
    assert shiftforge([*generate, "--alms", "20"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "toy"
    device = use_device("pocl")
    emulate = ["emulate", folder, "--device", device, "--input", "random:1", "--json"]
    assert shiftforge(emulate) == 0
    assert json.loads(capsys.readouterr().out)["elements"] == 16
    compare = ["compare", folder, "--from", "golden", "--to", device, "--input", "random:2"]
    assert shiftforge(compare) == 0
    text = Path(folder, "device/toy.cl")
    text.write_text(text.read_text().replace("<< 3", "<< 4"))
    assert shiftforge(compare) == 2
    assert "is not what was generated" in capsys.readouterr().err
    assert shiftforge([*compare, "--edited"]) == 1
    assert "first differ in the scaled vector: " in capsys.readouterr().err


class CheckedToy(ToyTarget):
    """A target may tell before anything is quantised what it runs."""

    def check(self, draft: int, board: Board | None, options: ToyOptions) -> CheckReport:
        row = CheckRow("scale", "toy", f"<< {draft}", (16,), "the kernel")
        return CheckReport("checkedtoy", "a toy", (row,))


CHECKED = CheckedToy()
register_target("checkedtoy", "toys", "test_toy_target:CHECKED", "test_toy_target:ToyOptions")


def test_a_check_is_an_optional_part_of_a_target() -> None:
    assert isinstance(CHECKED, Checks) and not isinstance(TARGET, Checks)
    assert check_draft("checkedtoy", 3).maps
    with pytest.raises(InputError, match="'toy' tells nothing before"):
        check_draft("toy", 3)
