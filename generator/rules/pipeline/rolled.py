"""Rolled loops: what an iteration starts with, hands on, loads, stores and sends."""

from __future__ import annotations

from dataclasses import replace

from shiftforge.generator.rules.pipeline.context import Frame
from shiftforge.generator.rules.pipeline.expressions import Binary
from shiftforge.generator.rules.pipeline.facts import Loop as Rolled
from shiftforge.generator.rules.pipeline.facts import PathKey
from shiftforge.generator.rules.pipeline.pragmas import read_pragmas
from shiftforge.generator.rules.pipeline.state import (
    Environment,
    Leaving,
    covers,
    lookup,
    merge,
    ordered,
    reaching,
    without_loop,
)
from shiftforge.generator.rules.pipeline.unrolled import counted
from shiftforge.generator.rules.pipeline.values import Chain, Dependences, Source, Value, merged
from shiftforge.generator.rules.pipeline.walker import Walker
from shiftforge.generator.rules.syntax import Loop, Plain

__all__ = ["RolledLoops"]

_COMPARISONS = ("<", "<=", ">", ">=", "!=")


class RolledLoops:
    """Walks loops that stay loops."""

    def __init__(self, walk: Walker) -> None:
        self._walk = walk
        self._count = 0

    def walk(self, loop: Loop) -> bool:
        """Walk a rolled loop; whether what follows it can be reached."""
        c = self._walk.context
        scope, guard, branch = c.scope, c.guard, c.branch
        c.scope = dict(scope)
        if loop.keyword == "for" and loop.head[0]:
            self._walk.statement(Plain(loop.head[0]))
        falls = self._record(loop) if c.recording else self._once(loop)
        c.scope, c.guard, c.branch = scope, guard, branch
        return falls

    # ---- without recording --------------------------------------------------------------------

    def _once(self, loop: Loop) -> bool:
        """One pass, for what it writes."""
        c = self._walk.context
        leaving, exit_, _ = self._pass(loop)
        environment: Environment | None = exit_
        for left in (*leaving.continues, *leaving.breaks):
            environment = merge(c.atoms, left.environment, environment, left.condition)
        if environment is None:
            return False
        c.environment = environment
        return True

    def _pass(self, loop: Loop) -> tuple[Leaving, Environment | None, list[Value]]:
        """Walk condition, body and step once; what left early, and where it ends."""
        c = self._walk.context
        leaving = Leaving("loop")
        self._walk.leaving.append(leaving)
        exits: list[Value] = []
        head = loop.head[1] if loop.keyword == "for" else loop.head[0] if loop.head else ()
        if loop.keyword != "do" and head:
            exits.append(self._walk.expression(head))
        scope = c.scope
        c.scope = dict(scope)
        falls = self._walk.statement(loop.body)
        c.scope = scope
        environment = c.environment if falls else None
        for left in leaving.continues:
            environment = merge(c.atoms, left.environment, environment, left.condition)
        leaving.continues.clear()
        if environment is not None:
            c.environment = environment
            if loop.keyword == "for" and loop.head[2]:
                self._walk.statement(Plain(loop.head[2]))
            elif loop.keyword == "do":
                exits.append(self._walk.expression(head))
            environment = c.environment
        self._walk.leaving.pop()
        return leaving, environment, exits

    # ---- with recording -----------------------------------------------------------------------

    def _record(self, loop: Loop) -> bool:
        c = self._walk.context
        constant = counted(self._walk, loop)
        node = self._node(loop)
        before = dict(c.environment)
        written, stored = self._written(loop, node.number)
        initial: dict[PathKey, Value] = {}
        for key in written:
            found = lookup(c.atoms, before.get(key[0], {}), key[1])
            initial[key] = found if found is not None else Value()
        for key in written:
            self._enter(node, key, initial[key])
            outer = (node.parent.number, "entry", key) if node.parent is not None else None
            if outer not in initial[key].deps:
                node.resets.add(key)
            if initial[key].constant is not None:
                node.starts.add(key)
            if initial[key].fixed and c.single(key):
                node.hardened.add(key)
        entered = dict(c.environment)
        guard, c.guard = c.guard, None
        c.loops.append(node)
        c.frames.append(Frame(node.number, stored=stored))
        leaving, environment, exits = self._pass(loop)
        frame = c.frames.pop()
        c.loops.pop()
        c.guard = guard
        if c.frames:
            c.frames[-1].written.update(frame.written)
            c.frames[-1].stored |= frame.stored
        node.exits.extend(exits)
        node.breaks = len(leaving.breaks)
        node.exits.extend(left.condition for left in leaving.breaks if left.condition is not None)
        finals = self._finals(node, written, environment)
        self._trip(loop, node, constant.most if constant else None, initial, exits)
        endless = not exits or exits[0].constant not in (None, 0)
        ends = [left.environment for left in leaving.breaks]
        if not endless:
            ends.append(environment if environment is not None else entered)
        c.environment = before
        if endless and not leaving.breaks:
            return False
        self._leave(node, written, initial, finals, ends)
        return True

    def _node(self, loop: Loop) -> Rolled:
        c = self._walk.context
        self._count += 1
        pragmas = read_pragmas(loop.pragmas)
        parent = c.current
        node = Rolled(
            self._count,
            loop.line,
            c.kernel.name,
            self._walk.functions[-1],
            loop.keyword,
            c.next_order(),
            pragmas,
            parent,
            c.guard is not None,
            max(1, pragmas.unroll if pragmas.unroll is not None else 1),
            visible=dict(c.scope),
        )
        node.condition = c.guard
        (c.kernel.loops if parent is None else parent.children).append(node)
        return node

    def _written(self, loop: Loop, number: int) -> tuple[list[PathKey], set[int]]:
        """What a pass over the body writes, from a pass that leaves no trace."""
        c = self._walk.context
        environment, guard = c.environment, c.guard
        variables = len(c.variables)
        c.environment = dict(environment)
        c.recording = False
        c.frames.append(Frame(-number))
        self._pass(loop)
        frame = c.frames.pop()
        c.recording = True
        c.environment, c.guard = environment, guard
        written = {k: None for k in frame.written if k[0] < variables}
        # A write to the whole is one to each part that is known.
        for variable, path in list(written):
            for part in environment.get(variable, {}):
                if len(part) > len(path) and covers(path, part):
                    written[variable, part] = None
        return list(ordered(written)), {v for v in frame.stored if v < variables}

    def _enter(self, node: Rolled, key: PathKey, initial: Value) -> None:
        """A variable where an iteration begins: what the last one handed on, or the first value."""
        c = self._walk.context
        source: Source = (node.number, "entry", key)
        nothing: Chain = (frozenset(), 0)
        outer = dict(initial.deps)
        loops = {node.number, *(s[0] for s in outer if s[1] != "memory")}
        atom = c.atoms.of(("entry", node.number, key), loops)
        node.entry[key] = atom
        variable = c.variables[key[0]]
        node.names[key] = ".".join([variable.name, *(str(p) for p in key[1])])
        deps: Dependences = {**outer, source: nothing}
        value = Value(((atom, 1),), 0, None, deps, initial.real, initial.place)
        c.put_part(key, value)

    def _finals(
        self, node: Rolled, written: list[PathKey], environment: Environment | None
    ) -> dict[PathKey, Value]:
        """Each variable at the end of an iteration, and what of it the next one gets."""
        c = self._walk.context
        finals: dict[PathKey, Value] = {}
        if environment is None:
            return finals
        for key in written:
            final = lookup(c.atoms, environment.get(key[0], {}), key[1])
            if final is None:
                continue
            finals[key] = final
            if final.real:
                node.real.add(key)
            node.inputs[key] = frozenset(
                s for s in final.deps if s[0] == node.number and s[1] != "entry"
            )
            edges: dict[PathKey, Chain] = {}
            for source, chain in final.deps.items():
                if source[0] == node.number and source[1] == "entry":
                    edges[source[2]] = chain  # type: ignore[index]
            node.carried[key] = edges
            own = node.entry[key]
            if final.linear == ((own, 1),) and final.offset:
                node.induction[key] = final.offset
        return finals

    def _trip(
        self,
        loop: Loop,
        node: Rolled,
        constant: int | None,
        initial: dict[PathKey, Value],
        exits: list[Value],
    ) -> None:
        """The form of the trip count, and the loops around in which it can change."""
        around = []
        outer = node.parent
        while outer is not None:
            around.append(outer.number)
            outer = outer.parent
        node.changes = frozenset(around)
        if node.breaks or not exits:
            return
        head = loop.head[1] if loop.keyword == "for" else loop.head[0]
        tree = self._walk.tree(head)
        if not isinstance(tree, Binary) or tree.operator not in _COMPARISONS:
            return
        number = node.number
        linear = exits[0]
        key, bound = self._counter(node, linear)
        if key is None:
            return
        node.trip = "entry"
        atoms = self._walk.context.atoms
        loops = {loop_ for a in bound for loop_ in atoms.loops[a]}
        start = initial[key]
        loops |= {s[0] for s in start.deps if s[1] != "memory"}
        node.changes = frozenset(n for n in around if n in loops and n != number)
        if constant is not None and not node.changes:
            copies = max(1, node.copies)
            node.trip = -(-constant // copies)

    def _counter(self, node: Rolled, condition: Value) -> tuple[PathKey | None, list[int]]:
        """The one variable that a comparison counts with, and the terms that stay as they are."""
        c = self._walk.context
        key = c.atoms.key[condition.linear[0][0]] if len(condition.linear) == 1 else None
        if not isinstance(key, tuple) or key[0] not in _COMPARISONS:
            return None, []
        terms = dict(key[1])
        for atom, factor in key[3]:
            terms[atom] = terms.get(atom, 0) - factor
        moving = {node.entry[k]: k for k in node.induction}
        counters = [a for a in terms if a in moving and terms[a]]
        still = [a for a in terms if a not in counters and terms[a]]
        if len(counters) != 1 or any(node.number in c.atoms.loops[a] for a in still):
            return None, []
        return moving[counters[0]], still

    def _leave(
        self,
        node: Rolled,
        written: list[PathKey],
        initial: dict[PathKey, Value],
        finals: dict[PathKey, Value],
        ends: list[Environment],
    ) -> None:
        """The variables after the loop."""
        c = self._walk.context
        number = node.number
        outer = reaching(
            {k: v.deps for k, v in finals.items()}, number, {k: v.deps for k, v in initial.items()}
        )
        for key in written:
            parts: list[Dependences] = [initial[key].deps]
            real = initial[key].real
            for environment in ends:
                value = lookup(c.atoms, environment.get(key[0], {}), key[1])
                if value is None:
                    continue
                real = real or value.real
                parts.append(without_loop(value.deps, number))
                for source, (operations, _) in value.deps.items():
                    if source[0] == number and source[1] == "entry":
                        known = outer.get(source[2])  # type: ignore[call-overload]
                        if known:
                            parts.append({s: (o | operations, n) for s, (o, n) in known.items()})
            deps = merged(parts)
            loops = frozenset(s[0] for s in deps if s[1] != "memory")
            made = Value(((c.atoms.fresh(loops), 1),), 0, None, deps, real, initial[key].place)
            c.put_part(key, replace(made))
