"""Convolutions and pools: what slides windows over a map."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch.nn import functional

from shiftforge.quant.capture.onnx.call import Call, Converter, Function, Unsupported

__all__ = ["WINDOWS"]

Pair = tuple[int, int]


def _pair(call: Call, name: str, value: Pair = (1, 1)) -> Pair:
    given = call.attributes.get(name)
    if given is None:
        return value
    if len(given) != 2:
        raise Unsupported(f"{name} of {len(given)} axes", "give maps (N, C, H, W)")
    return int(given[0]), int(given[1])


@dataclass(frozen=True)
class _Geometry:
    """begin, end: padding at the top and left, at the bottom and right.

    end may be negative: rows that no window reaches.
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    begin: Pair
    end: Pair

    @property
    def even(self) -> bool:
        """Whether both sides have the same padding."""
        return self.begin == self.end

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """As ``functional.pad`` takes it."""
        (top, left), (bottom, right) = self.begin, self.end
        return left, right, top, bottom

    def inside(self) -> _Geometry:
        """Without the rows and columns below and to the right that no window reaches."""
        bottom, right = (max(own, 0) for own in self.end)
        return _Geometry(self.kernel, self.stride, self.dilation, self.begin, (bottom, right))


def _pads(call: Call) -> tuple[Pair, Pair]:
    given = call.attributes.get("pads", (0, 0, 0, 0))
    if len(given) != 4:
        raise Unsupported(f"pads of {len(given) // 2} axes", "give maps (N, C, H, W)")
    top, left, bottom, right = (int(n) for n in given)
    return (top, left), (bottom, right)


def _geometry(call: Call, kernel: Pair) -> _Geometry:
    """Of a convolution or a pool: as padded as its output's declared size takes."""
    stride, dilation = _pair(call, "strides"), _pair(call, "dilations")
    begin, end = _pads(call)
    auto = str(call.attributes.get("auto_pad", "NOTSET"))
    before, after = [], []
    for axis in (0, 1):
        size, made = call.shape()[2 + axis], call.made[2 + axis]
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        whole = (made - 1) * stride[axis] + reach - size
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            first = (whole + (auto == "SAME_LOWER")) // 2 if whole > 0 else 0
        else:
            first = 0 if auto == "VALID" else begin[axis]
        before.append(first)
        # Of a floor, what is left over is not padded with less than what was said.
        after.append(whole - first)
    found = _Geometry(kernel, stride, dilation, (before[0], before[1]), (after[0], after[1]))
    if auto == "NOTSET" and not call.attributes.get("ceil_mode", 0):
        return _Geometry(kernel, stride, dilation, begin, end)
    return found.inside()


def _group(call: Call, channels: Pair) -> int:
    """Groups of a convolution, whose attributes are held against its weights.

    channels: those that groups share out, and those that its weights read.
    """
    group, weight = int(call.attributes.get("group", 1)), call.shape(1)
    if group < 1 or channels[0] % group or channels[1] != call.shape()[1]:
        what = f"{group} groups of weights {weight} on {call.shape()[1]} channels"
        raise Unsupported(what, "export the network again")
    kernel = _pair(call, "kernel_shape", (weight[2], weight[3]))
    if kernel != (weight[2], weight[3]):
        what = f"a kernel_shape of {kernel} with weights {weight}"
        raise Unsupported(what, "export the network again")
    return group


def _conv(call: Call) -> Function:
    call.of_map()
    if call.constant(1, "weight") is None or (call.has(2) and call.constant(2, "bias") is None):
        raise Unsupported("it has no weight", "give it one")
    weight = call.shape(1)
    own = _geometry(call, (weight[2], weight[3]))
    group = _group(call, (weight[0], weight[1] * int(call.attributes.get("group", 1))))

    def convolution(
        x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None
    ) -> torch.Tensor:
        if not own.even:
            x = functional.pad(x, own.sides)
        padding = own.begin if own.even else (0, 0)
        return functional.conv2d(x, w, b, own.stride, padding, own.dilation, group)

    return convolution


def _conv_transpose(call: Call) -> Function:
    call.of_map()
    call.constant(1, "weight")
    call.constant(2, "bias")
    weight = call.shape(1)
    stride, dilation = _pair(call, "strides"), _pair(call, "dilations")
    (begin, _), auto = _pads(call), str(call.attributes.get("auto_pad", "NOTSET"))
    padding, extra = [], []
    for axis in (0, 1):
        size, made = call.shape()[2 + axis], call.made[2 + axis]
        reach = dilation[axis] * (weight[2 + axis] - 1) + 1
        # Rows that the whole sum has beyond those that are declared.
        beyond = (size - 1) * stride[axis] + reach - made
        first = begin[axis]
        if auto == "SAME_UPPER" or (auto == "NOTSET" and "output_shape" in call.attributes):
            first = max(beyond, 0) // 2
        elif auto == "SAME_LOWER":
            first = (max(beyond, 0) + 1) // 2
        padding.append(first)
        extra.append(2 * first - beyond)
    if not all(0 <= e < max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        what = "it crops more at the bottom or right than at the top or left"
        raise Unsupported(what, "use equal pads on both sides")
    group = _group(call, (weight[0], weight[0]))

    def convolution(
        x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None
    ) -> torch.Tensor:
        return functional.conv_transpose2d(x, w, b, stride, padding, extra, group, dilation)

    return convolution


def _pool_geometry(call: Call) -> _Geometry:
    call.of_map()
    if any(call.outputs[1:]):
        raise Unsupported("it returns the places of its maxima", "return the maxima alone")
    return _geometry(call, _pair(call, "kernel_shape"))


def _fits_torch(own: _Geometry) -> bool:
    """Whether PyTorch's pools take the padding: equal on both sides, at most half the kernel."""
    return own.even and all(2 * p <= k for p, k in zip(own.begin, own.kernel, strict=True))


def _fits_ceil(own: _Geometry, size: tuple[int, ...], made: tuple[int, ...]) -> bool:
    """Whether PyTorch's ceil_mode gives windows that reach beyond equal padding."""
    begin = _Geometry(own.kernel, own.stride, own.dilation, own.begin, own.begin)
    if not _fits_torch(begin):
        return False
    for axis in (0, 1):
        room = size[axis] + 2 * own.begin[axis] - own.kernel[axis]
        windows = -(-room // own.stride[axis]) + 1
        # No window may start in the padding behind.
        windows -= (windows - 1) * own.stride[axis] >= size[axis] + own.begin[axis]
        if windows != made[axis]:
            return False
    return True


def _max_pool(call: Call) -> Function:
    own = _pool_geometry(call)

    def pool(x: torch.Tensor) -> torch.Tensor:
        inside = (0, 0)
        if _fits_torch(own):
            inside = own.begin
        else:
            x = functional.pad(x, own.sides, value=float("-inf"))
        return functional.max_pool2d(x, own.kernel, own.stride, inside, own.dilation)

    return pool


def _average_pool(call: Call) -> Function:
    ceil, counted = (
        bool(call.attributes.get(name, 0)) for name in ("ceil_mode", "count_include_pad")
    )
    whole = _pool_geometry(call)
    if whole.dilation != (1, 1):
        raise Unsupported("an average over a dilated window", "use a convolution")
    begin, end = _pads(call)
    auto = str(call.attributes.get("auto_pad", "NOTSET"))
    said = _Geometry(whole.kernel, whole.stride, (1, 1), begin, end) if auto == "NOTSET" else whole
    if _fits_torch(said):
        return lambda x: functional.avg_pool2d(
            x, said.kernel, said.stride, said.begin, ceil, counted
        )
    if not counted and _fits_ceil(said, call.shape()[2:], call.made[2:]):
        return lambda x: functional.avg_pool2d(x, said.kernel, said.stride, said.begin, True, False)
    if not counted:
        what = "an average over windows that are padded unequally, without counting the padding"
        raise Unsupported(what, "pad both sides equally, or count it")
    return lambda x: functional.avg_pool2d(
        functional.pad(x, said.sides), said.kernel, said.stride, 0, ceil
    )


_REDUCE: dict[str, Function] = {
    "ReduceMean": torch.mean, "ReduceMax": torch.amax, "ReduceSum": torch.sum,
}  # fmt: skip


def _reduced(call: Call) -> Function:
    """ReduceMean, ReduceMax and ReduceSum of what is no axis of frames."""
    rank = len(call.shape())
    axes = call.axes(1)
    if not axes and call.attributes.get("noop_with_empty_axes", 0):
        return lambda x, *_: x
    if not axes or 0 in axes:
        raise Unsupported("it joins frames", "reduce rows and columns")
    if any(b != a + 1 for a, b in pairwise(axes)) and rank == 4:
        raise Unsupported(f"it reduces the axes {axes}", "reduce rows and columns")
    keep = bool(call.attributes.get("keepdims", 1))
    reduce = _REDUCE[call.kind]
    return lambda x, *_: reduce(x, dim=axes, keepdim=keep)


def _global(call: Call) -> Function:
    axes = tuple(range(2, len(call.shape())))
    reduce = torch.mean if call.kind == "GlobalAveragePool" else torch.amax
    return lambda x: reduce(x, dim=axes, keepdim=True)


WINDOWS: dict[str, Converter] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    "ReduceMean": _reduced,
    "ReduceMax": _reduced,
    "ReduceSum": _reduced,
}
