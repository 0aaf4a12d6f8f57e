"""What capture makes of PyTorch's operators, in words: the tables of docs/OPERATORS.md.

``python -m shiftforge.generator.conv.operators_page`` writes that page of these tables and of what
the accelerator says of each operator. Nothing here needs PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ABSORBED", "NODES", "REFUSED", "NodeRow"]


@dataclass(frozen=True)
class NodeRow:
    """A kind of node: what becomes one (ATen operators in back-quotes), and what it computes."""

    made_of: str
    computes: str


NODES: dict[str, NodeRow] = {
    "Conv": NodeRow(
        "`conv2d` of any kernel, stride, dilation, groups and zero padding; `linear` over a "
        "vector, or over a map as a convolution of the map's size; `conv_transpose2d` over an "
        "`Upsample`; `_native_batch_norm_legit_no_training` and `add`, `sub`, `rsub`, `mul`, "
        "`div`, `neg` with one constant, or one a channel, are folded in, or are a depthwise 1×1 "
        "convolution of their own",
        "convolution, bias, requantisation, clamp",
    ),
    "Add": NodeRow(
        "`add`, `sub` of two maps of equal shape",
        "sum on the finer grid, rounded once, clamp",
    ),
    "Pool": NodeRow(
        "`adaptive_avg_pool2d` to 1×1, `mean` and `sum` over rows and columns in one step or two, "
        "`avg_pool2d` over the whole map; of `x.flatten(2)` `mean(-1)`, `adaptive_avg_pool1d`, "
        "`avg_pool1d`",
        "global average by a constant, rounded once, clamp",
    ),
    "MaxPool": NodeRow(
        "`max_pool2d`, `max_pool2d_with_indices` (the maxima alone), `adaptive_max_pool2d` to "
        "sizes that divide, `amax` and `max` over rows, columns or both; of `x.flatten(2)` "
        "`max_pool1d`, `adaptive_max_pool1d` over all",
        "maximum over windows, on the grid of what it reads",
    ),
    "AveragePool": NodeRow(
        "`avg_pool2d` with any padding, `ceil_mode`, `count_include_pad`; `adaptive_avg_pool2d` "
        "to sizes that divide; `mean` over rows or columns",
        "average over windows, one constant for each number of places counted, rounded once, clamp",
    ),
    "Concat": NodeRow(
        "`cat`, `concat`, `concatenate`, `stack` along channels",
        "channels one after another, brought to one grid, rounded once",
    ),
    "Slice": NodeRow(
        "`slice` and `narrow` of channels; `split`, `split_with_sizes`, `chunk`, `tensor_split`, "
        "`unbind`, `unsafe_split`, `unsafe_split_with_sizes`, `unsafe_chunk`",
        "a run of channels",
    ),
    "Shuffle": NodeRow(
        "`channel_shuffle`, `native_channel_shuffle`; `view`, `transpose`, `permute`, `select` of "
        "channels in several axes; `index`, `index_select`, `flip`, `roll` of channels",
        "channels in another order",
    ),
    "Table": NodeRow(
        "`leaky_relu`, `prelu` of one slope, `rrelu`, `elu`, `selu`, `celu`, `gelu`, `silu`, "
        "`mish`, `hardswish`, `hardsigmoid`, `sigmoid`, `tanh`, `softplus`, `log_sigmoid`, "
        "`threshold`, `hardtanh` and `clamp`, `clamp_min`, `clamp_max` of other bounds than "
        "ReLU's, `abs`, `square`, `sqrt`, `exp`, `log`, `erf`, `pow`, `reciprocal`, `sign`; "
        "`mul`, `div` of a map and functions of itself",
        "any function of a code, 256 entries at 8 bits",
    ),
    "Upsample": NodeRow(
        "`upsample_nearest2d`, `_upsample_nearest_exact2d` by whole factors, `repeat_interleave` "
        "of rows or columns, `adaptive_avg_pool2d` to multiples; the zeros of `conv_transpose2d`",
        "every value repeated, or zeros between values",
    ),
}
"""By class of the integer graph."""

ABSORBED: tuple[tuple[str, str], ...] = (
    (
        "`relu`, `relu6`, `hardtanh`, `clamp`, `clamp_min`",
        "the clamp of the node before it, across what moves values and maxima; or of a depthwise "
        "1×1 convolution where others read the unclipped map",
    ),
    (
        "`pad`, `constant_pad_nd`",
        "padding of the convolution or pool that reads it; zeros, and minus infinity before a "
        "maximum",
    ),
    (
        "`view`, `reshape`, `_unsafe_view`, `flatten`, `unflatten`, `squeeze`, `unsqueeze`, "
        "`contiguous`, `clone`, `alias`, `detach`, `dropout`, `feature_dropout`, "
        "`lift_fresh_copy`, `_to_copy`, `to`; `native_dropout` that is off",
        "nothing: the numbers and their order stay",
    ),
)
"""Operators without a node of their own, and what becomes of them."""

REFUSED: tuple[tuple[str, str], ...] = (
    (
        "`native_dropout`, `bernoulli`, `rand`, `rand_like`, `randn`, `randn_like`, "
        "`rrelu_with_noise`; `empty`, `empty_like`, `new_empty` before them",
        "they draw random numbers: dropout that is active at inference",
    ),
    (
        "`_native_batch_norm_legit`, `_native_batch_norm_legit_functional`, `instance_norm`, "
        "`group_norm`, `layer_norm`",
        "they normalise by what the frames at hand give",
    ),
)
"""Operators that are refused by a rule of their own, and why."""
