"""Depths of the channels: the fewest words with which nothing waits that need not.

All operations block, at iterations that the plan fixes, so that a program that completes once with
these depths always does. Depths are powers of two.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.records import ControllerPass, ConvPass, PostPass

__all__ = ["IMAGE_LINES", "OPERANDS", "SHORT", "WEIGHT_WORDS", "plan_channels"]

SHORT = 8
"""Words of a channel whose ends keep the same pace."""
IMAGE_LINES = 16
WEIGHT_WORDS = 64
"""Words of the channels from loader and feeder: what they have fetched ahead."""
OPERANDS = 64
"""Lines that the controller is ahead of the convolution unit."""


def plan_channels(
    passes: Sequence[tuple[ControllerPass, ConvPass, PostPass]],
    lags: Sequence[int],
    latencies: Latencies,
) -> tuple[Channel, ...]:
    """The channels, in the order of the text. lags: of the layers' results, in iterations.

    result: holds what can come back before the controller reads it, so that post never waits while
    operands are sent. skip: as many lines as there are tiles on their way through conv.
    """
    results = max(
        (lag // own[0].results.fastest + 2
         for lag, own in zip(lags, passes, strict=True) if own[0].stores),
        default=SHORT,
    )  # fmt: skip
    ahead = latencies.conv + 2 * latencies.channel + OPERANDS
    skips = max((ahead // c.skips.fastest + 2 for c, _, _ in passes if c.residual), default=0)
    # As many words as are on their way while one is seen and its room told.
    short = max(SHORT, power_of_two(2 * latencies.channel + 2))
    channels = [
        Channel("image", "line_t", "loader", "controller", IMAGE_LINES),
        Channel("operand", "line_t", "controller", "conv", OPERANDS),
        Channel("weight", "weight_word_t", "feeder", "conv", WEIGHT_WORDS),
        Channel("param", "param_word_t", "params", "post", short),
        Channel("acc", "acc_word_t", "conv", "post", short),
        Channel("result", "line_t", "post", "controller", max(SHORT, power_of_two(results))),
    ]
    if skips:
        depth = max(SHORT, power_of_two(skips))
        channels.insert(2, Channel("skip", "line_t", "controller", "post", depth))
    return tuple(channels)
