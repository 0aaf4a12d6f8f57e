"""A network of one convolution: it stores no map, so that its trace holds nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_frames, random_network

from shiftforge.generator.design import read_manifest
from shiftforge.sim.conv.emulate import emulate
from shiftforge.sim.golden.conv.network import run_golden

Generate = Callable[..., Path]


@pytest.mark.parametrize("device", ["pocl", "intel-cpu", "intel-fpga-emu"])
def test_a_network_that_stores_no_map(device: str, generated: Generate) -> None:
    model = random_network(0, layers=1)
    folder = generated(model)
    assert len(model.nodes) == 1 and read_manifest(folder)["trace_lines"] == 0
    frames = random_frames(model, 0)
    done = emulate(folder, device, frames, check=True)
    wanted = run_golden(model, frames)[model.output]
    assert np.array_equal(done.outputs, wanted.reshape(len(frames), -1))
    assert not done.traces
