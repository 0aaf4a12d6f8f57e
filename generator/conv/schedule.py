"""Graph to layers: which nodes run as one pass through the accelerator, and in which mode.

A pass is a convolution, or the largest of windows, with what follows in the pipeline: requantise,
activation, then at most one residual addition, one global pool, and a table before or behind the
addition. How the array takes a
convolution is told in ``embed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.embed import by_digits, embed, embedded, one_hot
from shiftforge.generator.conv.enlarging import enlarging_problems
from shiftforge.generator.conv.followers import Leads, readers_of
from shiftforge.generator.conv.geometry import LANE_BITS, geometry_problems, width_problems
from shiftforge.generator.conv.layers import Embedding, Layer, Mode
from shiftforge.generator.conv.legal import Copies, Legal, legalise
from shiftforge.generator.conv.legal.average_pools import average_problems
from shiftforge.generator.conv.legal.joins import chip_before
from shiftforge.generator.conv.legal.max_pools import pool_problems
from shiftforge.generator.conv.passes import Pass, pass_of
from shiftforge.quant.graph.order import reordered
from shiftforge.quant.graph.types import (
    AveragePool,
    Concat,
    Conv,
    MaxPool,
    Node,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
    Tensor,
    Upsample,
)

__all__ = ["ImageMap", "Layer", "Mapped", "Mode", "Schedule", "map_nodes", "schedule"]

USUAL_UNITS = 16


@dataclass(frozen=True)
class ImageMap:
    """How the image lies on chip: (channels, rows, columns), after a k x k im2col at a stride.

    name: of the tensor.
    """

    channels: int
    rows: int
    columns: int
    kernel: int
    stride: int
    top: int
    left: int
    name: str = "input"


@dataclass(frozen=True, eq=False)
class Schedule:
    """The passes in execution order, and how the image is laid out for the first.

    streamed: only the first layer reads the image, which then goes into the array unstored.
    units: of the arrays that the passes are for, 0 where they are the same for all.
    homes: of tensors that lie in another map, that map and the first channel group there. joined:
    shapes of the maps that join others.
    """

    layers: tuple[Layer, ...]
    image: ImageMap
    streamed: bool
    units: int = 0
    homes: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    joined: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)

    def root(self, name: str) -> str:
        """The map in which a tensor lies, itself or another."""
        return self.homes[name][0] if name in self.homes else name


@dataclass(frozen=True, eq=False)
class Mapped:
    """The passes that the array can run, in execution order, and what is wrong with other nodes.

    problems: by the node's name; "" has those of the network as a whole. made: of every node of a
    pass that the network has not, the node of the network that it is for. legal: the network in
    nodes that are passes, and what moves without one.
    """

    layers: tuple[Layer, ...]
    problems: Mapping[str, tuple[Problem, ...]]
    made: Mapping[str, str]
    legal: Legal


def schedule(model: QuantizedModel, units: int = USUAL_UNITS) -> Schedule:
    """The model's nodes as passes of an array of so many units; raises InputError listing
    everything that cannot be mapped."""
    mapped = map_nodes(model, units)
    problems = [problem for own in mapped.problems.values() for problem in own]
    if problems:
        raise InputError(problems)
    first = mapped.layers[0]
    streamed = first.taps > 0
    image = _image_map(model.tensors[model.input], first)
    blocks = any(layer.blocks > 1 or layer.conv.groups > 1 for layer in mapped.layers
                 if layer.mode != "depthwise")  # fmt: skip
    moves = any(isinstance(node, Concat | Slice | Shuffle) for node in model.nodes)
    homes = {
        name: (home.root, home.channel // units) for name, home in mapped.legal.homes.items()
    }  # fmt: skip
    tensors = mapped.legal.model.tensors
    joined = {
        name: (channels, *tensors[name].shape[1:])
        for name, channels in mapped.legal.joined.items()
    }  # fmt: skip
    own = units if blocks or moves else 0
    return Schedule(mapped.layers, image, streamed, own, homes, joined)


def map_nodes(model: QuantizedModel, units: int = USUAL_UNITS) -> Mapped:
    """Which nodes run as one pass, and what is wrong with those that none can run.

    The passes' weights, biases and shifts lie in the model's orders.
    """
    model = reordered(model)
    problems: dict[str, tuple[Problem, ...]] = {}
    copies = Copies.of(model)
    for node in model.nodes:
        if isinstance(node, Conv) and (faults := geometry_problems(node, model)):
            problems[node.name] = tuple(faults)
        if isinstance(node, MaxPool) and (faults := pool_problems(node, model)):
            problems[node.name] = tuple(faults)
        if isinstance(node, Upsample) and (faults := enlarging_problems(node)):
            problems[node.name] = tuple(faults)
        if isinstance(node, AveragePool):
            faults = average_problems(node, model.tensors[node.input], copies)
            problems |= {node.name: tuple(faults)} if faults else {}
    legal = legalise(model, units)
    own, made = legal.model, legal.made
    readers = readers_of(own.nodes)
    taken: set[str] = set()
    layers: list[Layer] = []
    # Results of earlier passes, those that are refused too: each problem is reported once.
    on_chip = chip_before(own)
    for node in own.nodes:
        if isinstance(node, Concat | Slice | Shuffle):
            on_chip.add(node.output)
            taken.add(node.name)
        if not isinstance(node, Leads):
            continue
        found = pass_of(node, legal, readers, on_chip, copies)
        taken.update(n.name for n in (node, *found.nodes))
        on_chip.add(found.result)
        faults = width_problems(found.conv, own.tensors[found.result], found.direct, own)
        at = made.get(node.name, node.name)
        if faults:
            problems[at] = (*problems.get(at, ()), *faults)
        elif at not in problems:
            layers.append(_layer(legal, model, len(layers), found, units))
    for node in own.nodes:
        at = made.get(node.name, node.name)
        if node.name in taken or at in problems:
            continue
        if told := _apart(node, own):
            problems[at] = tuple(told)
    if not taken and not problems:
        problems[""] = (Problem("the network has no convolution", "nothing to generate"),)
    order = {node.name: n for n, node in enumerate(model.nodes)}
    ordered = dict(sorted(problems.items(), key=lambda own: order.get(own[0], 0)))
    return Mapped(tuple(layers), ordered, made, legal)


def _apart(node: Node, model: QuantizedModel) -> list[Problem]:
    """What is wrong with a node in no pass: it is of maps that the array cannot hold. Others
    follow one of these."""
    place = f"{node.name} ({node.source})"
    bits = max(model.tensors[name].grid.bits for name in node.inputs)
    if bits > LANE_BITS:
        remedy = "only a convolution that nothing follows may make more than 8"
        return [Problem(f"it reads a map of {bits} bits", remedy, place)]
    return []


def _layer(legal: Legal, network: QuantizedModel, index: int, own: Pass, units: int) -> Layer:
    """network: the model before it was made legal."""
    model, conv, node, places = legal.model, own.conv, own.node, None
    source, target = model.tensors[conv.input], model.tensors[conv.output]
    if (window := legal.windows.get(conv.input)) is not None:
        source, places = window.tensor, window.places
        conv = replace(conv, input=source.name, weight=window.spread(conv.weight))
    if isinstance(node, Upsample):
        # The middle tap, as of windows that many networks have.
        form, row_stride = Embedding("depthwise", 1, 1, 1), 1
        weight = np.pad(conv.weight[:, 0], ((0, 0), (1, 1), (1, 1)))
    elif isinstance(node, MaxPool | AveragePool):
        form, row_stride = Embedding("depthwise", node.stride[1], *node.padding[:2]), node.stride[0]
        weight = by_digits(conv.weight, own.digits) if own.digits else one_hot(conv.weight)
    else:
        form = embed(conv, model, units)
        weight, row_stride = embedded(form, conv, conv.weight), form.stride
    in_shape = target.shape if isinstance(node, Upsample) else source.shape
    if form.image:
        in_shape = (int(weight.shape[1]), target.height, target.width)
    return Layer(
        index=index,
        mode=form.mode,
        conv=conv,
        add=own.add,
        pool=own.pool,
        weight=weight,
        stride=form.stride,
        row_stride=row_stride,
        top=form.top,
        left=form.left,
        source=conv.source,
        in_shape=in_shape,
        out_shape=target.shape,
        input=source,
        conv_output=target,
        add_output=model.tensors[own.add.output] if own.add is not None else target,
        skip=own.skip,
        result=model.tensors[own.result],
        direct=own.direct,
        exported=own.result == model.output and not own.direct,
        leaves_as=legal.outputs.get(own.result, ""),
        wide_output=any(model.tensors[name].width > 1 for name in model.outputs),
        macs=_macs(conv, network),
        form=form,
        inner=own.result not in network.tensors,
        largest=isinstance(node, MaxPool),
        raises=len(own.digits) > 1,
        enlarge=node if isinstance(node, Upsample) else None,
        code_table=own.code_table,
        code_looked=_made(own.code_table, model),
        table=own.table,
        looked=_made(own.table, model),
        places=places,
        shared=own.result in legal.shared,
    )


def _made(node: Table | None, model: QuantizedModel) -> Tensor | None:
    return None if node is None else model.tensors[node.output]


def _macs(conv: Conv, network: QuantizedModel) -> int:
    """Multiply-accumulates of the network's own convolution; a copy has none."""
    for node in network.nodes:
        if node.name == conv.name and isinstance(node, Conv):
            out = network.tensors[node.output]
            return int(node.weight.size) * out.height * out.width
    return 0


def _image_map(tensor: Tensor, first: Layer) -> ImageMap:
    plain = ImageMap(tensor.channels, tensor.height, tensor.width, 1, 1, 0, 0, tensor.name)
    if not first.taps:
        return plain
    channels, rows, columns = first.in_shape
    conv = first.conv
    return replace(
        plain,
        channels=channels,
        rows=rows,
        columns=columns,
        kernel=first.taps,
        stride=conv.stride,
        top=conv.padding[0],
        left=conv.padding[1],
    )
