"""A network's own normalisation of its image, as part of the preprocessing.

``(x - mean) / std`` in front of a padded convolution cannot go into its weights: the padded zeros
lie behind it. It can go into what the host does with the pixels, exactly, where nothing else reads
the image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shiftforge.quant.capture.carried import NORMALISED
from shiftforge.quant.capture.types import FloatConv, FloatGraph

__all__ = ["fold_image_scale"]


def fold_image_scale(graph: FloatGraph) -> FloatGraph:
    """The network without a scale and offset of its image, by channels, that stands in front.

    They join mean and std of the preprocessing, so that the same pictures give the same results; a
    note tells of it. The graph as it is where there is none, where the image has other readers, or
    where no mean and std could stand for it (factors that are not above 0).
    """
    first = graph.nodes[0]
    readers = [node for node in graph.nodes if graph.input in node.inputs]
    if readers != [first] or not isinstance(first, FloatConv) or not _is_scale(first):
        return graph
    if len(graph.nodes) == 1:
        return graph
    gain = first.weight.reshape(-1).astype(np.float64)
    offset = first.bias.astype(np.float64)
    taken = graph.preprocess
    std = np.asarray(taken.std) / gain
    mean = np.asarray(taken.mean) - offset * std
    for name, values in (("mean", mean), ("std", std)):
        least, most = NORMALISED[name]
        if not ((values >= least) & (values <= most)).all():
            return graph

    def renamed(name: str) -> str:
        return graph.input if name == first.output else name

    nodes = []
    for node in graph.nodes[1:]:
        own = {field: renamed(getattr(node, field)) for field in ("input", "a", "b")
               if hasattr(node, field)}  # fmt: skip
        if not own:
            own = {"inputs": tuple(map(renamed, node.inputs))}  # type: ignore[dict-item]
        nodes.append(replace(node, **own))  # type: ignore[arg-type]
    preprocess = replace(taken, mean=tuple(map(float, mean)), std=tuple(map(float, std)))
    note = f"the network's own scale and offset of its image ({first.source}) are part of mean and"
    return replace(
        graph,
        preprocess=preprocess,
        nodes=tuple(nodes),
        shapes={name: shape for name, shape in graph.shapes.items() if name != first.output},
        notes=(*graph.notes, f"{note} std"),
    )


def _is_scale(node: FloatConv) -> bool:
    """Whether it is ``x * gain + offset`` by channels, with gains above 0."""
    outputs, per_group, *kernel = node.weight.shape
    alone = node.stride == 1 and not any(node.padding) and node.activation == "none"
    return (
        alone
        and (per_group, *kernel) == (1, 1, 1)
        and node.groups == outputs
        and bool((node.weight > 0).all())
    )
