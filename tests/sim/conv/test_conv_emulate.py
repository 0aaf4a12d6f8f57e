"""`emulate` in a child of its own: what it tells of a trace."""

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
    """A network of one convolution: its trace holds nothing."""
    model = random_network(0, layers=1)
    folder = generated(model)
    assert len(model.nodes) == 1 and read_manifest(folder)["trace_lines"] == 0
    frames = random_frames(model, 0)
    done = emulate(folder, device, frames, check=True)
    wanted = run_golden(model, frames)[model.output]
    assert np.array_equal(done.outputs, wanted.reshape(len(frames), -1))
    assert not done.traces


@pytest.mark.optimised
@pytest.mark.device("pocl")
def test_maps_are_told_in_the_network_s_own_channel_order(generated: Generate) -> None:
    model = random_network(2, layers=4, sides=(5, 12), orders=True)
    frames = random_frames(model, 2)
    wanted = run_golden(model, frames)
    done = emulate(generated(model), "pocl", frames, check=True)
    assert np.array_equal(done.outputs, wanted[model.output].reshape(len(frames), -1))
    assert done.traces is not None
    lain = [name for name in done.traces if name in model.orders]
    assert any((np.diff(model.orders[name]) != 1).any() for name in lain)
    for name, codes in done.traces.items():
        assert np.array_equal(codes, wanted[name]), name
