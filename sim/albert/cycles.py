"""Cycles of sentences as the RTL's counters give them, by length: they do not depend on values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from shiftforge.quant.albert.network import IntegerAlbert
from shiftforge.sim.albert.check import units_for
from shiftforge.sim.albert.rtl import ClassifierRtl, CommandCycles

__all__ = ["commands_by_length"]


def commands_by_length(
    network: IntegerAlbert,
    lengths: Iterable[int],
    *,
    lanes: int = 16,
    cache: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[int, tuple[CommandCycles, ...]]:
    """The commands of one sentence of each length (tokens) through all layers.

    The sentence's tokens are arbitrary: a command takes as long as its sizes say, whatever the
    codes (tests/sim/test_albert_cycles.py). Raises InputError where the network does not fit the
    unit, CheckFailed where the RTL cannot be built or stops early.
    """
    sizes = sorted(set(lengths))
    config, sfu = units_for(network, lanes)
    unit = ClassifierRtl(config, sfu, network, None, longest=sizes[-1], cache=cache)
    found = {}
    for tokens in sizes:
        ids = np.arange(tokens, dtype=np.int64) % len(network.word)
        found[tokens] = unit.run(ids).commands
        if say is not None:
            say(f"{tokens} tokens: {found[tokens][-1].end:,} cycles")
    return found
