"""Operators that move values and compute nothing."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from shiftforge.quant.capture.onnx.call import Call, Converter, Function, Unsupported

__all__ = ["MOVES"]

_FRAMES = "keep the frames' axis first, and as long as it is"


def _as(shape: tuple[int, ...], frames: int) -> Function:
    """A reshape to a declared shape, for any number of frames."""
    if not shape or shape[0] != frames:
        raise Unsupported(f"its shape {shape} mixes {frames} frames", _FRAMES)
    return lambda x, *_: x.reshape(x.shape[0], *shape[1:])


def _reshaped(call: Call) -> Function:
    """Reshape, Flatten, Squeeze and Unsqueeze: the output's declared shape says it all."""
    if not call.shape():
        raise Unsupported("it reads a single number", "give frames")
    frames = call.shape()[0]
    if call.kind in ("Squeeze", "Unsqueeze"):
        axes = call.axes(1, len(call.made) if call.kind == "Unsqueeze" else None)
        if call.kind == "Squeeze" and axes is None:
            axes = tuple(n for n, size in enumerate(call.shape()) if size == 1)
        if axes and 0 in axes:
            raise Unsupported("it moves the frames' axis", _FRAMES)
    if call.kind == "Flatten" and int(call.attributes.get("axis", 1)) % len(call.shape()) != 1:
        raise Unsupported("it flattens frames", _FRAMES)
    return _as(call.made, frames)


def _transpose(call: Call) -> Function:
    rank = len(call.shape())
    order = tuple(int(n) for n in call.attributes.get("perm", range(rank - 1, -1, -1)))
    if order and order[0] != 0:
        raise Unsupported(f"it moves the frames' axis ({order})", _FRAMES)
    return lambda x: x.permute(order)


def _concat(call: Call) -> Function:
    axis = int(call.attributes["axis"])
    if any(call.is_constant(n) for n in range(len(call.inputs))):
        raise Unsupported("it joins a map and a constant", "join maps")
    return lambda *tensors: torch.cat(tensors, axis)


def _slices(call: Call) -> Function:
    starts, ends = call.numbers("starts", 1), call.numbers("ends", 2)
    steps = call.numbers("steps", 4) or (1,) * len(starts or ())
    rank = len(call.shape())
    given = call.numbers("axes", 3) or tuple(range(len(starts or ())))
    taken = [slice(None)] * rank
    for start, end, step, axis in zip(starts or (), ends or (), steps, given, strict=True):
        if step < 1:
            raise Unsupported(f"a slice of step {step}", "flip channels by Gather")
        size = call.shape()[axis % rank]
        # Ends beyond the axis, such as the largest whole number, mean all of it.
        own = slice(*slice(start, end, step).indices(size))
        if axis % rank == 0 and own != slice(0, size, 1):
            raise Unsupported("it takes some of the frames", _FRAMES)
        taken[axis % rank] = slice(None) if own == slice(0, size, 1) else own
    return lambda x, *_: x[tuple(taken)]


def _split(call: Call) -> Function:
    axis = int(call.attributes.get("axis", 0)) % len(call.shape())
    if axis == 0:
        raise Unsupported("it splits frames", _FRAMES)
    sizes = [call.shapes[name][axis] for name in call.outputs]
    return lambda x, *_: torch.split(x, sizes, axis)


def _gather(call: Call) -> Function:
    axis = int(call.attributes.get("axis", 0)) % len(call.shape())
    indices = call.constant(1, "indices")
    if axis == 0 or indices is None or indices.ndim > 1:
        raise Unsupported(
            "it takes some of the frames, or more than a list", "give a list of channels"
        )
    size = call.shape()[axis]
    outside = [int(n) for n in indices.reshape(-1) if not -size <= n < size]
    if outside:
        raise Unsupported(f"there is no index {outside[0]} among {size}", "export it again")
    wanted = [int(n) % size for n in indices.reshape(-1)]
    if indices.ndim == 0:
        return lambda x, *_: x.select(axis, wanted[0])
    return lambda x, *_: torch.index_select(x, axis, torch.tensor(wanted))


def _pad(call: Call) -> Function:
    if str(call.attributes.get("mode", "constant")) != "constant":
        raise Unsupported(f"padding by {call.attributes['mode']}", "pad with zeros")
    pads, rank = call.numbers("pads", 1), len(call.shape())
    given = call.numbers("axes", 3)
    axes = tuple(range(rank)) if given is None else tuple(a % rank for a in given)
    value = call.number(2, "value") or 0.0
    sides = [(0, 0)] * rank
    for n, axis in enumerate(axes):
        sides[axis] = (pads or ())[n], (pads or ())[n + len(axes)]
    if sides[0] != (0, 0):
        raise Unsupported("it pads the frames", _FRAMES)
    flat = [n for side in reversed(sides[1:]) for n in side]
    return lambda x, *_: functional.pad(x, flat, value=value) if any(flat) else x


def _nearest(call: Call) -> Function:
    """Resize and Upsample by whole factors, where every value is repeated."""
    call.of_map()
    sizes, made = call.shape(), call.made
    if sizes == made:
        return lambda x, *_: x
    mode = str(call.attributes.get("mode", "nearest"))
    if mode != "nearest":
        raise Unsupported(f"it interpolates ({mode})", "use nearest")
    if sizes[:2] != made[:2] or any(b % a for a, b in zip(sizes, made, strict=True)):
        raise Unsupported(f"from {sizes} to {made}", "enlarge rows and columns by whole factors")
    if call.kind == "Resize":
        for size, larger in zip(sizes[2:], made[2:], strict=True):
            if any(_read(call, n, size, larger) != n * size // larger for n in range(larger)):
                raise Unsupported(
                    "it reads other places than repetition does", "use asymmetric, floor"
                )
    target = list(made[2:])
    return lambda x, *_: functional.interpolate(x, size=target, mode="nearest")


def _read(call: Call, place: int, size: int, larger: int) -> int:
    """The row that a row of the result is read from (onnx/docs/Operators.md, Resize)."""
    ratio = larger / size
    way = str(call.attributes.get("coordinate_transformation_mode", "half_pixel"))
    at = {
        "asymmetric": place / ratio,
        "half_pixel": (place + 0.5) / ratio - 0.5,
        "half_pixel_symmetric": (place + 0.5) / ratio - 0.5,
        "pytorch_half_pixel": (place + 0.5) / ratio - 0.5 if larger > 1 else 0.0,
        "align_corners": place * (size - 1) / (larger - 1) if larger > 1 else 0.0,
    }.get(way)
    if at is None:
        raise Unsupported(f"coordinates by {way}", "use asymmetric")
    near = {
        "floor": math.floor(at),
        "ceil": math.ceil(at),
        "round_prefer_ceil": math.floor(at + 0.5),
    }.get(str(call.attributes.get("nearest_mode", "round_prefer_floor")), math.ceil(at - 0.5))
    return min(max(near, 0), size - 1)


MOVES: dict[str, Converter] = {
    "Reshape": _reshaped,
    "Flatten": _reshaped,
    "Squeeze": _reshaped,
    "Unsqueeze": _reshaped,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slices,
    "Split": _split,
    "Gather": _gather,
    "Pad": _pad,
    "Resize": _nearest,
}
