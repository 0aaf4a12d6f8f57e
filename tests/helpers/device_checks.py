"""A generated project on a device against the reference: every map of the network that is kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from device_client import DeviceClient
from random_networks import random_frames

from shiftforge.generator.conv.schedule import Layer
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden


def kept_maps(model: QuantizedModel, layers: Iterable[Layer]) -> set[str]:
    """Names of what passes store, without the maps between the passes that one node takes."""
    return {layer.result.name for layer in layers} & set(model.tensors)


def check_equal(
    model: QuantizedModel,
    layers: Iterable[Layer],
    folder: Path,
    seed: int,
    client: DeviceClient,
    *,
    frames: int = 1,
    strict: bool = True,
) -> None:
    """Fails with the first divergence, or where a map is missing.

    strict: channels as deep as in hardware.
    """
    images = random_frames(model, seed, frames)
    golden = run_golden(model, images)
    found = client.run(folder, images, strict_depth=strict)
    assert set(found) == kept_maps(model, layers) | set(model.outputs)
    order = [name for name in tensor_order(model) if name in found]
    divergence = first_divergence(golden, found, order, model=model)
    assert divergence is None, f"seed {seed} on {client.device}: {divergence}"
