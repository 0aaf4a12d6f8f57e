"""What decides how long a layer takes."""

from __future__ import annotations

from collections.abc import Iterable

from shiftforge.generator.conv.plan_parts import LayerPlan, StepPlan

__all__ = ["BOUNDS", "MOST", "layer_bound"]

BOUNDS = {
    "array": "the array's cycles",
    "memory": "lines that are sent more slowly than the array uses them",
    "weights": "weights from global memory",
    "image": "the image from global memory",
    "post": "what follows the convolution",
    "drain": "draining and entering the pipeline again",
}
"""What may decide how long a layer takes, in words."""
MOST = 0.5
"""Share of the cycles from which on nothing else decides."""


def layer_bound(steps: Iterable[StepPlan], layer: LayerPlan) -> str:
    """What decides a layer's cycles: half of them or more, else what its longest kernel does.

    steps: of the whole plan.
    """
    own = layer.cycles
    mine = [step for step in steps if step.index == layer.index]
    post = sum(step.post.iterations - step.post.before for step in mine)
    busy = max(own.array, own.memory, post)
    if own.bound in ("weights", "image"):
        return own.bound
    if own.modelled - busy > MOST * own.modelled:
        return "drain"
    if post >= max(own.array, sum(step.controller.sends for step in mine)):
        return "post" if post > own.array else own.bound
    return own.bound
