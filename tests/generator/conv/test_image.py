"""The image in global memory against a slow im2col from the definition, and its sizes."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_chains import chain
from device_client import DeviceClient
from numpy.typing import NDArray
from random_networks import random_frames

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.image import (
    ImageLayout,
    image_fields,
    image_layout,
    pack_image,
)
from shiftforge.generator.conv.options import UNITS
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.schedule import ImageMap
from shiftforge.generator.conv.target import generate
from shiftforge.quant.graph.example import random_model
from shiftforge.sim.golden.conv.network import run_golden

CASES = range(60)


def case(seed: int) -> tuple[ImageLayout, ArrayShape, tuple[int, int, int], bool]:
    """(layout, array, shape of the image, codes are signed)."""
    rng = random.Random(seed)
    kernel, stride = rng.randint(1, 7), rng.choice((1, 2, 3, 4, 9))
    channels = rng.randint(1, 4)
    top, left = rng.randint(0, kernel), rng.randint(0, kernel)
    bottom, right = rng.randint(0, kernel - 1), rng.randint(0, kernel - 1)
    height = max(kernel - top - bottom, 1) + rng.randint(0, 12)
    width = max(kernel - left - right, 1) + rng.randint(0, 60)
    rows = (height + top + bottom - kernel) // stride + 1
    columns = (width + left + right - kernel) // stride + 1
    array = ArrayShape(rng.choice(UNITS), rng.randint(1, 16), rng.choice((1, 1, 2, 3, 5)))
    image = ImageMap(channels * kernel * kernel, rows, columns, kernel, stride, top, left)
    layout = image_layout(image, channels, array, rng.random() < 0.5, rng.randint(1, 4))
    return layout, array, (channels, height, width), rng.random() < 0.5


def unfolded(codes: NDArray[np.int64], layout: ImageLayout) -> dict[tuple[int, int, int], int]:
    """{(channel of the map, row, column): byte}: tap (r, t) of channel c is channel
    (c * kernel + r) * kernel + t; outside the image it is zero."""
    channels, height, width = codes.shape
    found = {}
    for c in range(channels):
        for r in range(layout.kernel):
            for t in range(layout.kernel):
                for row in range(layout.map_rows):
                    for column in range(layout.map_tiles * layout.pixels):
                        y = row * layout.stride + r - layout.top
                        x = column * layout.stride + t - layout.left
                        inside = 0 <= y < height and 0 <= x < width
                        key = (c * layout.kernel + r) * layout.kernel + t
                        value = int(codes[c, y, x]) & 0xFF if inside else 0
                        found[key, row, column] = value
    return found


@pytest.mark.parametrize("seed", CASES)
def test_the_loaders_lines_are_the_unfolded_image(seed: int) -> None:
    layout, array, shape, signed = case(seed)
    rng = np.random.default_rng(seed)
    flight = layout.frames
    given = flight + 1  # the last batch is not full, where several frames are in flight
    codes = rng.integers(*((-128, 128) if signed else (0, 256)), (given, *shape))
    packed = pack_image(codes, layout)
    assert packed.shape == (2, layout.frame_beats, layout.beat)
    line = flight * array.pixels * array.units
    assert not packed[..., line:].any()
    # In the order row, tile, group; in a line frame, pixel, channel.
    parts = packed[..., :line].reshape(
        2, layout.map_rows, layout.map_tiles, layout.map_groups, flight, array.pixels, array.units
    )
    assert not parts[1, :, :, :, given - flight :].any()
    for frame in range(given):
        expected = unfolded(codes[frame], layout)
        own = parts[frame // flight, :, :, :, frame % flight]
        for (row, tile, group, p, u), found in np.ndenumerate(own):
            value = expected.get((group * array.units + u, row, tile * layout.pixels + p), 0)
            assert found == value, (row, tile, group, p, u)


@pytest.mark.parametrize("seed", CASES)
def test_sizes_follow_from_the_array(seed: int) -> None:
    layout, array, (channels, _, _), _ = case(seed)
    used = layout.frames * array.pixels * array.units
    assert layout.beat & (layout.beat - 1) == 0 and used <= layout.beat < 2 * used
    assert layout.frames == array.frames
    assert (layout.units, layout.pixels) == (array.units, array.pixels)
    assert layout.map_groups == ceil(channels * layout.kernel**2 / array.units)
    assert layout.lines == layout.map_tiles * layout.map_groups
    assert layout.passes >= 1 and (layout.streamed or layout.passes == 1)
    assert ImageLayout(**image_fields(layout)) == layout


def test_a_plan_streams_an_image_that_one_layer_reads() -> None:
    board = load_board("s10gx2800")
    stem = {"out": 40, "kernel": 3, "stride": 2, "padding": (1, 1, 1, 1)}
    model = chain(stem, {"out": 9, "kernel": 1}, channels=3, height=9, width=12)
    plan = make_plan(model, board, array_for(model, 16, 4))
    assert plan.image_pass is None
    assert (plan.image.streamed, plan.image.passes, plan.image.map_groups) == (True, 3, 2)
    assert plan.image.map_rows * plan.image.lines * 3 == sum(
        own.controller.n0 * own.controller.n1 * own.controller.n2 for own in plan.steps[:1]
    )
    depthwise = {"out": 20, "kernel": 3, "groups": 20, "padding": (1, 1, 1, 1)}
    model = chain(depthwise, {"out": 9, "kernel": 1}, channels=20, height=9, width=12)
    plan = make_plan(model, board, array_for(model, 16, 4))
    assert plan.image_pass is not None
    assert (plan.image.streamed, plan.image.passes, plan.image.kernel) == (False, 1, 1)


def test_the_host_program_packs_the_same_bytes() -> None:
    pytest.importorskip("pyopencl")
    design = generate(random_model(3), load_board("a10gx1150"))
    host: dict[str, Any] = {"__file__": "host.py", "__name__": "host"}
    exec(compile(design.files["host/host.py"], "host.py", "exec"), host)
    for seed in CASES:
        layout, _, shape, signed = case(seed)
        span = (-128, 128) if signed else (0, 256)
        codes = np.random.default_rng(seed).integers(*span, (2, *shape))
        found = np.ascontiguousarray(host["packed"](codes, image_fields(layout)))
        assert found.tobytes() == pack_image(codes, layout).tobytes()


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_a_stem_of_wide_windows_runs(
    device: str, generated: Callable[..., Path], on_device: Callable[[str], DeviceClient]
) -> None:
    """Sixteen pixels at stride 4 and a kernel of 7: 98 taps."""
    stem = {"out": 20, "kernel": 7, "stride": 4, "padding": (3, 7, 3, 0)}
    model = chain(stem, {"out": 9, "kernel": 1}, channels=2, height=9, width=131)
    folder = generated(model, 16, 16)
    frames = random_frames(model, 1)
    found = on_device(device).run(folder, frames, trace=False)[model.output]
    assert np.array_equal(found, run_golden(model, frames)[model.output])
