"""Pipelining rules on channels: one site each, and an order between different ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from shiftforge.generator.rules.pipeline.facts import ChannelUse, Kernel, Loop
from shiftforge.generator.rules.registry import RuleViolation, violation

__all__ = ["check_channels", "on_cycles"]


def check_channels(kernels: Sequence[Kernel]) -> Iterator[RuleViolation]:
    """Sites and order of the channel calls of every kernel."""
    cyclic = on_cycles(kernels)
    bridges = _bridges(kernels)
    for kernel in kernels:
        for loop in kernel.every():
            yield from _sites(loop)
            if kernel.name in cyclic:
                uses = [u for u in loop.channels if _base(u) not in bridges]
                yield from _order(kernel.name, uses, loop.number)


def on_cycles(kernels: Sequence[Kernel]) -> frozenset[str]:
    """Kernels from which what they write can come back to them."""
    writers, readers = _ends(kernels)
    follows: dict[str, set[str]] = {}
    for name, sources in writers.items():
        for source in sources:
            follows.setdefault(source, set()).update(readers.get(name, ()))
    return frozenset(k.name for k in kernels if k.name in _reached(k.name, follows))


def _base(use: ChannelUse) -> str:
    return use.channel.partition("[")[0]


def _ends(kernels: Sequence[Kernel]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The kernels that write and that read each channel."""
    writers: dict[str, set[str]] = {}
    readers: dict[str, set[str]] = {}
    for kernel in kernels:
        uses = [*kernel.channels, *(u for loop in kernel.every() for u in loop.channels)]
        for use in uses:
            ends = writers if use.kind == "write" else readers
            ends.setdefault(_base(use), set()).add(kernel.name)
    return writers, readers


def _bridges(kernels: Sequence[Kernel]) -> frozenset[str]:
    """Channels that alone join two parts of the program.

    Kernels that wait for each other do so in a ring, each at a full or an empty channel to the
    next. No ring crosses such a channel, so that its calls need no order with others.
    """
    writers, readers = _ends(kernels)
    joined = {n: writers[n] | readers[n] for n in writers.keys() & readers.keys()}
    found = set()
    for name, own in joined.items():
        follows: dict[str, set[str]] = {}
        for other, both in joined.items():
            if other != name:
                for kernel in both:
                    follows.setdefault(kernel, set()).update(both)
        source, *targets = sorted(own)
        if targets and not _reached(source, follows) & set(targets):
            found.add(name)
    return frozenset(found)


def _reached(start: str, follows: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    stack = list(follows.get(start, ()))
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(follows.get(name, ()))
    return found


def _sites(loop: Loop) -> Iterator[RuleViolation]:
    first: dict[tuple[str, str], ChannelUse] = {}
    for use in loop.channels:
        known = first.setdefault((use.channel, use.kind), use)
        if known is not use:
            yield violation(
                "channel-site",
                loop.kernel,
                use.line,
                f"channel {use.channel} has a second {use.kind} in the loop of line {loop.line} "
                f"(the first is in line {known.line})",
                f"choose the condition first, and {use.kind} once",
                subject=use.channel,
            )


def _order(kernel: str, uses: Sequence[ChannelUse], loop: int) -> Iterator[RuleViolation]:
    """A call that nothing keeps behind an earlier one on another channel."""
    after: list[set[int]] = []
    for at, use in enumerate(uses):
        before: set[int] = set()
        for earlier in range(at):
            if _ordered(uses[earlier], use, loop):
                before |= {earlier} | after[earlier]
        after.append(before)
        loose = [
            n
            for n in range(at)
            if n not in before and uses[n].channel != use.channel and not _apart(uses[n], use)
        ]
        if loose:
            other = uses[loose[-1]]
            yield violation(
                "channel-order",
                kernel,
                use.line,
                f"nothing orders the {use.kind} of {use.channel} behind the {other.kind} of "
                f"{other.channel} (line {other.line}), and the kernel lies on a cycle of channels",
                "put mem_fence(CLK_CHANNEL_MEM_FENCE) between them, or let one need the other's "
                "value",
                subject=use.channel,
            )


def _apart(first: ChannelUse, second: ChannelUse) -> bool:
    """Whether they stand on two sides of one branch."""
    sides = dict(first.branch)
    return any(sides.get(number, side) != side for number, side in second.branch)


def _ordered(first: ChannelUse, second: ChannelUse, loop: int) -> bool:
    if second.fences > first.fences:
        return True
    if first.kind != "read":
        return False
    source = (loop, "channel", (first.channel, loop))
    needs = [second.value, second.condition, second.index]
    return any(v is not None and source in v.deps for v in needs)
