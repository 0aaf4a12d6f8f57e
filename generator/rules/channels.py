"""Rules on channels: who writes and reads each, and how calls name them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from shiftforge.generator.rules.calls import Call, Known, owner, resolve
from shiftforge.generator.rules.registry import RuleViolation, violation
from shiftforge.generator.rules.statements import closing
from shiftforge.generator.rules.syntax import Channel, Function, Program

__all__ = ["READS", "WRITES", "check_channels"]

READS = frozenset(["read_channel_intel", "read_channel_nb_intel"])
WRITES = frozenset(["write_channel_intel", "write_channel_nb_intel"])
_MOST_ELEMENTS = 65_536
_WORD_BYTES = 1024
_Kernels: TypeAlias = dict[tuple[int, ...], dict[str, None]]
_EXTENSION = "OPENCL EXTENSION cl_intel_channels : enable"


@dataclass(frozen=True)
class _Use:
    """One kernel's call on one channel; elements: the indices it touches, None if not known."""

    kernel: str
    call: Call
    channel: Channel
    elements: tuple[tuple[int, ...], ...] | None


def check_channels(
    program: Program, calls: Mapping[str, Sequence[Call]]
) -> Iterator[RuleViolation]:
    """All rules whose names begin with ``channel-``."""
    channels = {c.name: c for c in program.channels}
    yield from _declarations(program)
    yield from _extension(program, calls)
    for function in program.functions:
        yield from _mentions(function, channels, calls)
    uses: list[_Use] = []
    for kernel, kernel_calls in calls.items():
        for call in kernel_calls:
            if call.name in READS | WRITES:
                yield from _call(kernel, call, channels, uses)
    for channel in program.channels:
        yield from _ends(channel, [u for u in uses if u.channel is channel], program.constants)


def _declarations(program: Program) -> Iterator[RuleViolation]:
    for channel in program.channels:
        if channel.pointer:
            yield violation(
                "channel-pointer",
                "",
                channel.line,
                f"{channel.name} is a pointer to a channel",
                "declare the channel itself, at file scope",
            )
        known = [
            program.type_bytes[t.text] for t in channel.type_tokens if t.text in program.type_bytes
        ]
        if known and known[-1] > _WORD_BYTES:
            yield violation(
                "channel-word",
                "",
                channel.line,
                f"a word of channel {channel.name} has {known[-1]} bytes",
                f"send it in words of at most {_WORD_BYTES} bytes",
            )
        depth = channel.attribute("depth")
        if depth is None:
            continue
        arguments = depth.arguments or ()
        scope = {n: Known((v,)) for n, v in program.constants.items()}
        value = resolve(arguments[0], scope) if len(arguments) == 1 else None
        if value is None or value.values[0] < 0:
            yield violation(
                "channel-depth",
                "",
                depth.line,
                f"the depth of channel {channel.name} is no constant integer >= 0",
                "write depth(N) with an integer constant",
            )


def _extension(program: Program, calls: Mapping[str, Sequence[Call]]) -> Iterator[RuleViolation]:
    lines = [c.line for c in program.channels]
    lines += [c.line for found in calls.values() for c in found if c.name in READS | WRITES]
    if not lines:
        return
    wanted = _EXTENSION.replace(" ", "")
    enabled = [p.line for p in program.pragmas if p.text.replace(" ", "") == wanted]
    if not enabled or min(enabled) > min(lines):
        yield violation(
            "channel-extension",
            "",
            min(lines),
            "channels are used before the extension is enabled",
            f"put '#pragma {_EXTENSION}' before the first channel",
        )


def _mentions(
    function: Function, channels: Mapping[str, Channel], calls: Mapping[str, Sequence[Call]]
) -> Iterator[RuleViolation]:
    """Channels declared in a function, pointed to, or used other than in a channel call."""
    kernel = owner(function, calls)
    for parameter in function.parameters:
        if any(t.text == "channel" for t in parameter.tokens):
            rule = "channel-pointer" if parameter.pointer else "channel-file-scope"
            yield violation(
                rule,
                kernel,
                parameter.line,
                f"parameter {parameter.name} of {function.name} is a channel",
                "name the file-scope channel in the call itself",
            )
    tokens = function.tokens
    inside_parameters = {id(t) for p in function.parameters for t in p.tokens}
    hidden = {p.name for p in function.parameters}
    for at, token in enumerate(tokens):
        if id(token) in inside_parameters or token.kind != "name":
            continue
        if token.text == "channel":
            statement = list(itertools.takewhile(lambda t: t.text != ";", tokens[at:]))
            pointer = any(t.text == "*" for t in statement)
            yield violation(
                "channel-pointer" if pointer else "channel-file-scope",
                kernel,
                token.line,
                f"a channel is declared inside {function.name}",
                "declare it at file scope",
            )
        elif token.text in channels and token.text not in hidden and at > 1:
            before = tokens[at - 1].text
            if before in (".", "->"):  # a member of the same name
                continue
            if before == "&":
                yield violation(
                    "channel-pointer",
                    kernel,
                    token.line,
                    f"the address of channel {token.text} is taken",
                    "name the channel in the call itself",
                )
            elif before != "(" or tokens[at - 2].text not in READS | WRITES:
                yield violation(
                    "channel-operand",
                    kernel,
                    token.line,
                    f"channel {token.text} is used outside a channel call",
                    "use it only as the first argument of a channel call",
                )


def _call(
    kernel: str, call: Call, channels: Mapping[str, Channel], uses: list[_Use]
) -> Iterator[RuleViolation]:
    operand = call.arguments[0] if call.arguments else ()
    channel = channels.get(operand[0].text) if operand else None
    if channel is None:
        text = " ".join(t.text for t in operand) or "nothing"
        if not text.startswith("&"):
            yield violation(
                "channel-operand",
                kernel,
                call.line,
                f"{call.name} is called on {text}, which is no file-scope channel",
                "name a channel that is declared at file scope",
            )
        return
    indices: list[Known | None] = []
    at = 1
    while at < len(operand) and operand[at].text == "[":
        end = closing(operand, at)
        indices.append(resolve(operand[at + 1 : end], call.scope))
        at = end + 1
    if len(indices) != len(channel.sizes) or at != len(operand):
        yield violation(
            "channel-operand",
            kernel,
            call.line,
            f"channel {channel.name} has {len(channel.sizes)} dimensions and is used "
            f"with {len(indices)}",
            "give one index for each dimension",
        )
        return
    known = [i for i in indices if i is not None]
    if len(known) < len(indices):
        yield violation(
            "channel-index",
            kernel,
            call.line,
            f"the index into channel array {channel.name} is not constant",
            "use constants, or the variable of a fully unrolled loop",
        )
        uses.append(_Use(kernel, call, channel, None))
        return
    for outer in call.unrolled:
        if not any(outer in i.loops for i in known):
            yield violation(
                "channel-unrolled",
                kernel,
                call.line,
                f"the unrolled loop of line {outer.line} copies this call on channel "
                f"{channel.name}",
                "move the call out of the loop, or use one channel for each copy",
            )
    elements = tuple(
        itertools.islice(itertools.product(*(i.values for i in known)), _MOST_ELEMENTS)
    )
    uses.append(_Use(kernel, call, channel, elements))


def _ends(
    channel: Channel, uses: Sequence[_Use], constants: Mapping[str, int]
) -> Iterator[RuleViolation]:
    if channel.pointer:
        return
    scope = {n: Known((v,)) for n, v in constants.items()}
    sizes = [resolve(s, scope) for s in channel.sizes]
    extents = [s.values[0] for s in sizes if s is not None]
    if len(extents) < len(sizes) or any(e < 1 for e in extents):
        yield violation(
            "channel-index",
            "",
            channel.line,
            f"the size of channel array {channel.name} is no positive constant",
            "give the array a constant size",
        )
        return
    every = tuple(itertools.product(*(range(e) for e in extents)))
    reported: set[tuple[str, str, int]] = set()
    # For each element, the kernels at each end in the order of the text.
    ends: dict[str, _Kernels] = {"writer": {}, "reader": {}}
    for use in uses:
        kind = "writer" if use.call.name in WRITES else "reader"
        for element in every if use.elements is None else use.elements:
            here = (kind, use.kernel, use.call.line)
            name = _name(channel, element)
            if any(not 0 <= i < e for i, e in zip(element, extents, strict=True)):
                if here not in reported:
                    yield violation(
                        "channel-index",
                        use.kernel,
                        use.call.line,
                        f"there is no channel {name}",
                        "stay inside the array",
                    )
                reported.add(here)
                continue
            owners = ends[kind].setdefault(element, {})
            owners[use.kernel] = None
            first = next(iter(owners))
            if first != use.kernel and here not in reported:
                reported.add(here)
                verb = "written" if kind == "writer" else "read"
                yield violation(
                    f"channel-one-{kind}",
                    use.kernel,
                    use.call.line,
                    f"channel {name} is {verb} by kernel {first} too",
                    f"give each {kind} a channel of its own",
                )
            others = ends["reader" if kind == "writer" else "writer"].get(element, {})
            if use.kernel in others and ("both", use.kernel, 0) not in reported:
                reported.add(("both", use.kernel, 0))
                yield violation(
                    "channel-direction",
                    use.kernel,
                    use.call.line,
                    f"the kernel both reads and writes channel {name}",
                    "keep the value in the kernel, or pass it through another kernel",
                )
    if channel.attribute("io") is None:
        yield from _unconnected(channel, every, ends["writer"], ends["reader"])


def _unconnected(
    channel: Channel, every: Sequence[tuple[int, ...]], writers: _Kernels, readers: _Kernels
) -> Iterator[RuleViolation]:
    for element in every:
        writer = next(iter(writers.get(element, ())), "")
        reader = next(iter(readers.get(element, ())), "")
        if writer and reader:
            continue
        name = _name(channel, element)
        if writer:
            what = f"channel {name} has no reader"
        elif reader:
            what = f"channel {name} has no writer"
        else:
            what = f"channel {name} is not used"
        yield violation(
            "channel-connected",
            writer or reader,
            channel.line,
            what,
            "connect both ends or remove the channel",
        )


def _name(channel: Channel, element: tuple[int, ...]) -> str:
    return channel.name + "".join(f"[{i}]" for i in element)
