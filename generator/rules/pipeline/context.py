"""Where a walk is: scopes, values of variables, open loops; what it meets is recorded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shiftforge.generator.rules.pipeline.facts import (
    Access,
    ChannelUse,
    Kernel,
    Loop,
    Memory,
    PathKey,
    Variable,
)
from shiftforge.generator.rules.pipeline.state import Environment, Path, lookup, write
from shiftforge.generator.rules.pipeline.types import CType, Types
from shiftforge.generator.rules.pipeline.values import Atoms, Place, Source, Value, join, merged
from shiftforge.generator.rules.syntax import Function, Program

__all__ = ["Context", "Frame"]


@dataclass
class Frame:
    """What one pass over a loop's body writes. stored: memories by variable."""

    loop: int
    written: dict[PathKey, None] = field(default_factory=dict)
    stored: set[int] = field(default_factory=set)


class Context:
    """The state of the walk of one kernel.

    dynamic: the private arrays known to be indexed by values that change, by line, name and path;
    others are registers. It grows while the kernel is walked, and the walk is repeated if it did.
    """

    def __init__(
        self,
        program: Program,
        types: Types,
        kernel: Kernel,
        dynamic: set[tuple[int, str, Path]],
    ) -> None:
        self.types = types
        self.kernel = kernel
        self.dynamic = dynamic
        self.functions: Mapping[str, Function] = {
            f.name: f for f in program.functions if not f.kernel
        }
        self.atoms = Atoms()
        self.environment: Environment = {}
        self.scope: dict[str, int] = {}
        self.variables: list[Variable] = []
        self.loops: list[Loop] = []
        self.frames: list[Frame] = []
        self.unrolled = self.atoms.unrolled
        self.guard: Value | None = None
        self.branch: tuple[tuple[int, int], ...] = ()
        self.recording = True
        self._constants = {
            name: Value((), value, (value,)) for name, value in program.constants.items()
        }
        self._order = 0
        self._targets: dict[PathKey, int] = {}
        self._fences = 0
        self._branches = 0

    @property
    def current(self) -> Loop | None:
        """The innermost rolled loop."""
        return self.loops[-1] if self.loops else None

    # ---- names --------------------------------------------------------------------------------

    def constant(self, name: str) -> Value | None:
        """A file-scope constant that no variable hides."""
        return None if name in self.scope else self._constants.get(name)

    def declare(self, name: str, type_: CType, line: int, parameter: bool = False) -> Variable:
        """A new variable in the current scope."""
        variable = Variable(len(self.variables), name, type_, line, len(self.loops), parameter)
        self.variables.append(variable)
        self.scope[name] = variable.number
        return variable

    def place_of(self, name: str) -> Place | None:
        """A variable; one that is declared nowhere counts as declared at file scope."""
        number = self.scope.get(name)
        if number is None:
            return None
        return Place(number, (), self.variables[number].type)

    def target(self, pointer: Place) -> Place:
        """What a pointer of which nothing is known points to: global memory of its own."""
        path, _ = self._path(pointer)
        key = (pointer.variable, path)
        number = self._targets.get(key)
        type_ = CType(pointer.type.base, (0,), False, "global")
        if number is None:
            held = self.variables[pointer.variable]
            name = ".".join([held.name, *(str(p) for p in path)])
            number = self._targets[key] = len(self.variables)
            self.variables.append(Variable(number, name, type_, held.line, held.depth, True))
        return Place(number, (), type_)

    # ---- reads and writes ---------------------------------------------------------------------

    def read(self, place: Place, line: int, width: int = 1) -> Value:
        """The value at a place; a load if it lies in a memory."""
        memory = self._memory(place)
        if memory is not None:
            return self._load(place, memory, line, width)
        path, _ = self._path(place)
        entries = self.environment.get(place.variable)
        found = lookup(self.atoms, entries, path) if entries else None
        if found is not None:
            return found
        return self._fresh({}, self.types.is_real(place.type))

    def write(self, place: Place, value: Value, line: int, width: int = 1) -> None:
        """Put a value there; a store if it lies in a memory."""
        memory = self._memory(place)
        if memory is not None:
            self._record(place, memory, line, width, value)
            for frame in self.frames:
                frame.stored.add(memory.variable.number)
            return
        path, covers = self._path(place)
        real = self.types.is_real(place.type)
        if value.real != real and value.tree is None and value.place is None:
            value = Value(value.linear, value.offset, value.values, value.deps, real)
        self._put(place.variable, path, value, covers)

    def put(self, variable: int, value: Value) -> None:
        """Initialise a variable as a whole."""
        self._put(variable, (), value, True)

    def put_part(self, key: PathKey, value: Value) -> None:
        """Set one part, whatever its path holds."""
        entries = dict(self.environment.get(key[0], {}))
        entries[key[1]] = value
        self.environment[key[0]] = entries

    def _put(self, variable: int, path: Path, value: Value, covers: bool) -> None:
        entries = self.environment.get(variable, {})
        if "*" in path and not covers:
            before = lookup(self.atoms, entries, path)
            if before is not None:
                value = join(self.atoms, before, value, None)
        self.environment[variable] = write(entries, path, value, covers)
        if self.frames:
            self.frames[-1].written[variable, path] = None

    def _path(self, place: Place) -> tuple[Path, bool]:
        """The part of a register, and whether "*" stands for every index that there is."""
        path: list[str | int] = []
        covers = True
        type_: CType | None = self.variables[place.variable].type
        for step in place.steps:
            if isinstance(step, str):
                path.append(step)
                type_ = None if type_ is None else self.types.member(type_, step)
                continue
            size = type_.dims[0] if type_ is not None and type_.dims else 0
            if type_ is not None:
                type_ = CType(type_.base, type_.dims[1:])
            if step.constant is not None:
                path.append(step.constant)
            else:
                path.append("*")
                covers = covers and bool(size) and len(set(step.values or ())) >= size
        return tuple(path), covers

    def _memory(self, place: Place) -> Memory | None:
        """The memory that a place lies in; None for registers."""
        variable = self.variables[place.variable]
        head: list[str | int] = []
        for step in place.steps:
            if not isinstance(step, str):
                break
            head.append(step)
        path = tuple(head)
        shared = variable.type.space != "private" and not variable.type.pointer
        if not shared:
            key = (variable.line, variable.name, path)
            indices = [s for s in place.steps if not isinstance(s, str)]
            if key not in self.dynamic:
                if not any(not i.fixed for i in indices):
                    return None
                if not variable.type.dims and not self._array(variable.type, path):
                    return None  # an element of a vector
                self.dynamic.add(key)
        known = self.kernel.memories.get((variable.number, path))
        if known is None:
            known = Memory(variable, path, self._member_type(variable.type, path))
            self.kernel.memories[variable.number, path] = known
        return known

    def single(self, key: PathKey) -> bool:
        """Whether a part of a variable is a single-precision number, or a vector of them."""
        members = tuple(step for step in key[1] if step != "*")
        base = self.types.resolve(self._member_type(self.variables[key[0]].type, members)).base
        return base.startswith("float")

    def _array(self, type_: CType, path: Path) -> bool:
        return bool(self._member_type(type_, path).dims)

    def _member_type(self, type_: CType, path: Path) -> CType:
        for step in path:
            if isinstance(step, str):
                type_ = self.types.member(type_, step) or CType("int")
        return type_

    def _fresh(self, deps: Mapping[Source, tuple[frozenset[str], int]], real: bool) -> Value:
        loops = frozenset(s[0] for s in deps if s[1] != "memory")
        return Value(((self.atoms.fresh(loops), 1),), 0, None, deps, real)

    def _load(self, place: Place, memory: Memory, line: int, width: int) -> Value:
        self._record(place, memory, line, width, None)
        kind = "gload" if memory.space in ("global", "constant") else "load"
        name = f"{kind}:{memory.name}@{line}"
        indices = [s.deps for s in place.steps if isinstance(s, Value)]
        deps = merged(indices, name)
        nothing = (frozenset([name]), 0)
        qualifiers = memory.variable.type.qualifiers
        shared = memory.space == "global" and not {"const", "restrict"} & qualifiers
        for loop, frame in zip(self.loops, self._loop_frames(), strict=False):
            deps[loop.number, "memory", (memory.variable.number, memory.path)] = nothing
            stored = memory.variable.number in frame.stored or (shared and bool(frame.stored))
            if stored or "volatile" in qualifiers:
                deps[loop.number, "load", memory.name] = nothing
        return self._fresh(deps, self.types.is_real(place.type))

    def _loop_frames(self) -> list[Frame]:
        return [f for f in self.frames if f.loop >= 0]

    def _record(
        self, place: Place, memory: Memory, line: int, width: int, value: Value | None
    ) -> None:
        if not self.recording:
            return
        rest = place.steps[len(memory.path) :]
        indices: list[Value] = []
        inside: list[str | int] = []
        for step in rest:
            if isinstance(step, Value) and not inside:
                indices.append(step)
            elif isinstance(step, Value):
                inside.append("*" if step.constant is None else step.constant)
            else:
                inside.append(step)
        size = self.types.size(place.type)
        access = Access(
            memory,
            value is not None,
            tuple(indices),
            tuple(inside),
            line,
            tuple(self.unrolled),
            self.next_order(),
            None if size is None else size * width,
            value,
            self.guard,
        )
        target = self.kernel.outside if self.current is None else self.current.accesses
        target.append(access)

    # ---- channels -----------------------------------------------------------------------------

    def fence(self, line: int) -> None:
        """A memory fence: channel calls before it come before those after it."""
        self._fences += 1

    def channel(
        self, name: str, index: Value | None, read: bool, blocking: bool, value: Value, line: int
    ) -> Value:
        """One channel call; what a read brings."""
        if index is not None and index.constant is not None:
            name = f"{name}[{index.constant}]"
        elif index is not None:
            name = f"{name}[]"
        if self.recording:
            use = ChannelUse(
                name,
                "read" if read else "write",
                blocking,
                line,
                tuple(self.unrolled),
                self.next_order(),
                self._fences,
                index,
                value,
                self.guard,
                self.branch,
            )
            target = self.kernel.channels if self.current is None else self.current.channels
            target.append(use)
        operation = (frozenset(["channel"]), 0)
        deps: dict[Source, tuple[frozenset[str], int]] = {
            (loop.number, "channel", (name, self.loops[-1].number)): operation
            for loop in self.loops
        }
        return self._fresh(deps, False)

    # ---- branches -----------------------------------------------------------------------------

    def next_order(self) -> int:
        """The place of the next loop, access or channel call in the text."""
        self._order += 1
        return self._order

    def new_branch(self) -> int:
        """A number for the two sides of a branch."""
        self._branches += 1
        return self._branches

    def guarded(self, condition: Value) -> Value | None:
        """Add a condition to the guard; returns the guard before."""
        before = self.guard
        parts = [condition.deps] if before is None else [before.deps, condition.deps]
        self.guard = self._fresh(merged(parts), False)
        return before
