"""Depths of the channels: the fewest words with which nothing waits that need not.

All operations block, at iterations that the plan fixes, so that a program that completes once with
these depths always does. Depths are powers of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.programs import STEP_KERNELS, program_channels
from shiftforge.generator.conv.records import ControllerPass, ConvPass, PostPass, StorePass

__all__ = ["DEFAULT_DEPTHS", "DEPTHS", "SHORT", "Depths", "plan_channels"]

SHORT = 8
"""Words of a channel whose ends keep the same pace."""
DEPTHS = (8, 16, 32, 64, 128, 256)
"""What a user may choose of."""
FETCHED_LINES = 16
"""Lines of the channels to and from global memory."""


@dataclass(frozen=True)
class Depths:
    """Words of the channels that run ahead, of ``DEPTHS``.

    operand: lines that the controller is ahead of the convolution unit. weight, image: what feeder
    and loader have fetched ahead. No result depends on them; time and memory do.
    """

    operand: int = 64
    weight: int = 64
    image: int = 16


DEFAULT_DEPTHS = Depths()


def plan_channels(
    passes: Sequence[tuple[ControllerPass, ConvPass, PostPass]],
    lags: Sequence[int],
    latencies: Latencies,
    own: Depths = DEFAULT_DEPTHS,
    tight: bool = False,
    saves: Sequence[StorePass] = (),
) -> tuple[Channel, ...]:
    """The channels, in the order of the text. lags: of the layers' results, in iterations.
    own: what is chosen.

    result: holds what can come back before the controller reads it, so that post never waits while
    operands are sent. tight: less what comes while operands wait in their own channel. Where the
    controller stands still, that is full (or the addition's, which holds as much): the array has
    taken no line of the last ``operand`` iterations at least, and of the results of those before,
    all are read but for a lag's, so that post can go on. skip: as many lines as there are tiles on
    their way through conv. saves: of steps whose results go to global memory; a token of each has
    room, so that store never waits for fetch. The programs' channels are the last ones.
    """
    results = max(
        ((max(0, lag - own.operand) if tight else lag) // c.results.fastest + 2
         for lag, (c, _, _) in zip(lags, passes, strict=True) if c.stores),
        default=SHORT,
    )  # fmt: skip
    ahead = latencies.conv + 2 * latencies.channel + own.operand
    skips = max((ahead // c.skips.fastest + 2 for c, _, _ in passes if c.residual), default=0)
    # As many words as are on their way while one is seen and its room told.
    short = max(SHORT, power_of_two(2 * latencies.channel + 2))
    channels = [
        Channel("image", "line_t", "loader", "controller", own.image),
        Channel("operand", "line_t", "controller", "conv", own.operand),
        Channel("weight", "weight_word_t", "feeder", "conv", own.weight),
        Channel("param", "param_word_t", "params", "post", short),
        Channel("acc", "acc_word_t", "conv", "post", short),
        Channel("result", "line_t", "post", "controller", max(SHORT, power_of_two(results))),
    ]
    if skips:
        depth = max(SHORT, power_of_two(skips))
        channels.insert(2, Channel("skip", "line_t", "controller", "post", depth))
    if saves:
        tokens = max(SHORT, power_of_two(len(saves)))
        channels += [
            Channel("fetch", "line_t", "fetch", "controller", FETCHED_LINES),
            Channel("store", "store_word_t", "controller", "store", FETCHED_LINES),
            Channel("token", "int", "store", "fetch", tokens),
        ]
    programs = (*STEP_KERNELS, *(("fetch", "store") if saves else ()))
    return (*channels, *program_channels(programs))
