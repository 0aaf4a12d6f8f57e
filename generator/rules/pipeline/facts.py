"""What is known of a kernel's loops, before any verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from shiftforge.generator.rules.pipeline.types import CType
from shiftforge.generator.rules.pipeline.values import Chain, Source, Value

__all__ = [
    "Access",
    "ChannelUse",
    "Kernel",
    "Loop",
    "Memory",
    "PathKey",
    "Pragmas",
    "Promise",
    "Variable",
]

PathKey: TypeAlias = tuple[int, tuple[str | int, ...]]


@dataclass(frozen=True)
class Variable:
    """A variable in one place of one kernel. depth: the rolled loops open where it is declared."""

    number: int
    name: str
    type: CType
    line: int
    depth: int
    parameter: bool = False


@dataclass(frozen=True)
class Memory:
    """An array in a memory: a variable, or an array member of one (path: the members)."""

    variable: Variable
    path: tuple[str | int, ...]
    type: CType

    @property
    def space(self) -> str:
        """The address space."""
        return self.variable.type.space

    @property
    def name(self) -> str:
        """As the text names it: "memory.row"."""
        return ".".join([self.variable.name, *(str(p) for p in self.path)])


@dataclass(frozen=True)
class Access:
    """One site of the text that loads or stores.

    indices: outermost first. inside: members and constant indices within the element.
    unrolled: the indices (atoms) of the unrolled loops around it. order: counts the accesses and
    channel calls of the kernel. width: bytes that one copy moves, if known. value: what is stored;
    condition: what guards it.
    """

    memory: Memory
    store: bool
    indices: tuple[Value, ...]
    inside: tuple[str | int, ...]
    line: int
    unrolled: tuple[int, ...]
    order: int
    width: int | None
    value: Value | None = None
    condition: Value | None = None


@dataclass(frozen=True)
class ChannelUse:
    """One channel call.

    fences: memory fences before it. index: into an array of channels. branch: the sides of the
    branches that it stands in.
    """

    channel: str
    kind: Literal["read", "write"]
    blocking: bool
    line: int
    unrolled: tuple[int, ...]
    order: int
    fences: int
    index: Value | None
    value: Value
    condition: Value | None = None
    branch: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Promise:
    """One ivdep pragma. arrays: those it names, () for all. length: its safelen, None for any."""

    line: int
    arrays: tuple[str, ...]
    length: int | None


@dataclass(frozen=True)
class Pragmas:
    """What stands before a loop.

    unroll: None without the pragma, 0 for fully, else the factor. coalesce: levels, 0 for all.
    initiation: the II that is asked for. words: every pragma's first word with its line.
    """

    promises: tuple[Promise, ...] = ()
    unroll: int | None = None
    max_concurrency: int | None = None
    not_pipelined: bool = False
    coalesce: int | None = None
    initiation: int | None = None
    words: tuple[tuple[str, int], ...] = ()


@dataclass
class Loop:
    """One rolled loop of a kernel, helpers inlined.

    order: as of accesses. copies: unroll factor of a partially unrolled loop. trip: an integer,
    "entry" (known where the loop is entered) or "unknown"; changes: the loops around it (by number)
    in which it can change from one iteration to the next. induction: step of each variable that
    moves by a constant; entry: the atom of each variable's value where an iteration begins.
    carried: for each variable that an iteration hands to the next, the variables that its new value
    depends on; inputs: the channels and memories it takes in; real: the floating-point ones; names:
    as the text names them. exits: the conditions that end it; breaks: how many of them are break or
    return. condition: what guards the loop in the one around it. resets: variables that do not come
    from the iteration before of the loop around; starts: those that begin as constants; hardened:
    single-precision ones that do. visible: the variables in scope, for the names in pragmas.
    """

    number: int
    line: int
    kernel: str
    function: str
    keyword: str
    order: int
    pragmas: Pragmas
    parent: Loop | None
    conditional: bool
    copies: int = 1
    trip: int | str = "unknown"
    changes: frozenset[int] = frozenset()
    children: list[Loop] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    channels: list[ChannelUse] = field(default_factory=list)
    induction: dict[PathKey, int] = field(default_factory=dict)
    entry: dict[PathKey, int] = field(default_factory=dict)
    carried: dict[PathKey, dict[PathKey, Chain]] = field(default_factory=dict)
    inputs: dict[PathKey, frozenset[Source]] = field(default_factory=dict)
    real: set[PathKey] = field(default_factory=set)
    exits: list[Value] = field(default_factory=list)
    breaks: int = 0
    calls: set[str] = field(default_factory=set)
    condition: Value | None = None
    resets: set[PathKey] = field(default_factory=set)
    starts: set[PathKey] = field(default_factory=set)
    hardened: set[PathKey] = field(default_factory=set)
    names: dict[PathKey, str] = field(default_factory=dict)
    visible: dict[str, int] = field(default_factory=dict)

    def inside(self) -> Iterator[Loop]:
        """The loop and all loops in it."""
        yield self
        for child in self.children:
            yield from child.inside()

    def exit_inputs(self) -> frozenset[Source]:
        """Channels and memories that decide, in this or an earlier iteration, when it ends."""
        out: set[Source] = set()
        seen: set[object] = set()
        stack: list[object] = []
        for value in self.exits:
            for source in value.deps:
                if source[0] == self.number and source[1] == "entry":
                    stack.append(source[2])
                elif source[0] == self.number:
                    out.add(source)
        while stack:
            key = stack.pop()
            if key not in seen:
                seen.add(key)
                out |= self.inputs.get(key, frozenset())  # type: ignore[call-overload]
                stack.extend(self.carried.get(key, ()))  # type: ignore[call-overload]
        return frozenset(s for s in out if s[1] != "memory")

    @property
    def depth(self) -> int:
        """Rolled loops around this one."""
        return 0 if self.parent is None else self.parent.depth + 1


@dataclass
class Kernel:
    """A kernel's outermost loops in order, and what stands outside of them."""

    name: str
    line: int
    loops: list[Loop] = field(default_factory=list)
    outside: list[Access] = field(default_factory=list)
    channels: list[ChannelUse] = field(default_factory=list)
    memories: dict[PathKey, Memory] = field(default_factory=dict)
    work_items: bool = False
    faults: list[tuple[int, str]] = field(default_factory=list)

    def every(self) -> Iterator[Loop]:
        """All rolled loops, outermost first, in order."""
        for loop in self.loops:
            yield from loop.inside()
