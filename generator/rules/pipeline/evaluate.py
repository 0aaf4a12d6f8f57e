"""Values of expressions: linear forms, dependences, and the loads, stores and channel calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from shiftforge.generator.rules.pipeline.context import Context
from shiftforge.generator.rules.pipeline.expressions import (
    Assign,
    Binary,
    Call,
    Cast,
    Choice,
    Expression,
    Group,
    Index,
    Member,
    Name,
    Number,
    Unary,
)
from shiftforge.generator.rules.pipeline.operators import ZERO, arithmetic, opaque
from shiftforge.generator.rules.pipeline.types import CType
from shiftforge.generator.rules.pipeline.values import (
    Dependences,
    Place,
    Value,
    combined,
    join,
    merged,
)

__all__ = ["Evaluator"]

_CHANNEL = re.compile(r"(read|write)_(channel|pipe)(_nb)?(_intel|_altera)?\Z")
_VECTOR = re.compile(r"v(load|store)(?:_half)?(\d+)\Z")
_WORK_ITEM = re.compile(r"get_(global|local|group)_(id|linear_id)|get_(global|local)_size|barrier")
_WIRES = re.compile(r"(convert|as)_\w+|bitselect|upsample|shuffle2?\Z")
_SMALL = frozenset(["min", "max", "select", "clamp", "abs", "abs_diff", "fmin", "fmax", "fabs"])
_NARROW = re.compile(r"(u?char|u?short|bool)\d*\Z")


class Evaluator:
    """Evaluates in a context; ``inline`` walks a helper's body and returns its value."""

    def __init__(
        self, context: Context, inline: Callable[[str, tuple[Value, ...], int], Value]
    ) -> None:
        self._c = context
        self._inline = inline

    def value(self, e: Expression) -> Value:
        """The value of an expression; its side effects happen."""
        match e:
            case Number(value=value, real=real):
                if value is None:
                    return Value((), 0, () if real else None, real=real)
                return Value((), value, (value,))
            case Name() | Index() | Member():
                return self._read(e)
            case Binary():
                return self._binary(e.operator, self.value(e.left), self.value(e.right), e.line)
            case Unary():
                return self._unary(e)
            case Assign():
                return self._assign(e)
            case Choice():
                condition = self.value(e.condition)
                if condition.constant is not None:
                    return self.value(e.yes if condition.constant else e.no)
                return join(self._c.atoms, self.value(e.yes), self.value(e.no), condition)
            case Cast():
                return self._cast(e)
            case Group(items=items):
                values = [self.value(item) for item in items]
                if len(values) == 1:
                    return values[0]
                return self._opaque(merged(v.deps for v in values), any(v.real for v in values))
            case Call():
                return self._call(e)

    # ---- places -------------------------------------------------------------------------------

    def place(self, e: Expression) -> Place | None:
        """What an expression on the left of = names."""
        match e:
            case Name(text=text):
                return self._c.place_of(text)
            case Index(base=base, index=index):
                at = self.value(index)
                return self._indexed(base, at)
            case Member(base=base, name=name, arrow=arrow):
                found = self._pointee(base) if arrow else self.place(base)
                if found is None:
                    return None
                type_ = self._c.types.member(found.type, name)
                if type_ is None:
                    type_ = CType(self._c.types.resolve(found.type).base, space=found.type.space)
                return Place(found.variable, (*found.steps, name), type_)
            case Unary(operator="*", operand=operand):
                return self._pointee(operand)
            case Cast(operand=operand):
                return self.place(operand)
        return None

    def _pointee(self, e: Expression) -> Place | None:
        found = self.value(e).place
        if found is None:
            held = self.place(e)
            if held is not None and held.type.pointer and not held.type.dims:
                found = self._c.target(held)
        if found is not None and found.type.dims:
            return found.element(ZERO)
        return found

    def _indexed(self, base: Expression, at: Value) -> Place | None:
        found = self.place(base)
        if found is not None and found.type.dims:
            return found.element(at)
        pointed = self.value(base).place
        if pointed is None:
            if found is not None and found.type.pointer:
                return self._c.target(found).element(at)
            if found is not None:  # a vector's element
                return Place(found.variable, (*found.steps, at), replace(found.type, pointer=False))
            return None
        return self._moved(pointed, at)

    def _moved(self, place: Place, by: Value) -> Place:
        """A pointer's target ``by`` elements further."""
        if place.steps and isinstance(place.steps[-1], Value):
            moved = self._binary("+", place.steps[-1], by)
            return Place(place.variable, (*place.steps[:-1], moved), place.type)
        if by.constant == 0:
            return place
        return Place(place.variable, (*place.steps, by), place.type)

    def _read(self, e: Expression) -> Value:
        if isinstance(e, Name):
            known = self._c.constant(e.text)
            if known is not None:
                return known
        found = self.place(e)
        if found is None:
            if isinstance(e, Member):
                return self.value(e.base)
            if isinstance(e, Index):
                return self._binary("+", self.value(e.base), self.value(e.index))
            return self._opaque({}, False)
        if found.type.dims:
            return Value(((self._c.atoms.fresh(()), 1),), 0, None, place=found.element(ZERO))
        line = e.line if isinstance(e, Name | Index | Member) else 0
        return self._c.read(found, line)

    # ---- operators ----------------------------------------------------------------------------

    def _opaque(self, deps: Dependences, real: bool) -> Value:
        return opaque(self._c.atoms, deps, real)

    def _binary(self, op: str, a: Value, b: Value, line: int = 0) -> Value:
        if a.place is not None and op in "+-" and b.place is None:
            return replace(a, place=self._moved(a.place, b if op == "+" else self._negated(b)))
        if b.place is not None and op == "+":
            return replace(b, place=self._moved(b.place, a))
        return arithmetic(self._c.atoms, op, a, b, line)

    def _negated(self, a: Value) -> Value:
        return arithmetic(self._c.atoms, "-", ZERO, a)

    def _unary(self, e: Unary) -> Value:
        match e.operator:
            case "&":
                found = self.place(e.operand)
                if found is None:
                    return self.value(e.operand)
                return Value(((self._c.atoms.fresh(()), 1),), 0, None, place=found)
            case "*":
                found = self._pointee(e.operand)
                return self._opaque({}, False) if found is None else self._c.read(found, e.line)
            case "++" | "--" | "x++" | "x--":
                before = self.value(e.operand)
                after = self._binary(e.operator[-1], before, Value((), 1, (1,)))
                self._store(e.operand, after, e.line)
                return before if e.operator[0] == "x" else after
            case "+":
                return self.value(e.operand)
            case "-":
                a = self.value(e.operand)
                if a.real:
                    return replace(a, values=None if a.values is None else ())
                return self._negated(a)
            case "~":
                return self._binary("^", self.value(e.operand), Value((), -1, (-1,)))
        return self._binary("==", self.value(e.operand), ZERO)

    def _assign(self, e: Assign) -> Value:
        if e.operator:
            value = self._binary(e.operator, self.value(e.target), self.value(e.value), e.line)
        else:
            value = self.value(e.value)
        return self._store(e.target, value, e.line)

    def _store(self, target: Expression, value: Value, line: int) -> Value:
        found = self.place(target)
        if found is not None:
            self._c.write(found, value, line)
        elif isinstance(target, Group):
            for item in target.items:
                self._store(item, value, line)
        return value

    def _cast(self, e: Cast) -> Value:
        value = self.value(e.operand)
        type_ = self._c.types.words(e.words)
        if value.place is not None or type_.pointer:
            return value
        real = self._c.types.is_real(type_)
        if real or value.real:
            values = None if value.values is None else ()
            name = "" if real == value.real else "convert"
            fresh = self._opaque(merged([value.deps], name), real)
            return replace(fresh, values=values)
        if _NARROW.match(type_.base) and value.constant is None and value.linear:
            key = ("cast", type_.base, value.linear, value.offset)
            loops = frozenset(s[0] for s in value.deps if s[1] != "memory")
            atom = self._c.atoms.of(key, loops, value.values)
            return replace(value, linear=((atom, 1),), offset=0)
        return value

    # ---- calls --------------------------------------------------------------------------------

    def _call(self, e: Call) -> Value:
        channel = _CHANNEL.match(e.name)
        if channel is not None and e.arguments:
            return self._channel(e, channel[1] == "read", channel[3] is None)
        vector = _VECTOR.match(e.name)
        if vector is not None:
            return self._vector(e, vector[1] == "load", int(vector[2]))
        if e.name in self._c.functions:
            values = tuple(self.value(a) for a in e.arguments)
            return self._inline(e.name, values, e.line)
        if "fence" in e.name:
            self._c.fence(e.line)
            return ZERO
        if _WORK_ITEM.match(e.name):
            self._c.kernel.work_items = True
        values = tuple(self.value(a) for a in e.arguments)
        real = any(v.real for v in values)
        if e.name in ("fma", "mad", "mad24", "mul24") and len(values) > 1:
            product = self._binary("*", values[0], values[1], e.line)
            return product if len(values) < 3 else self._binary("+", product, values[2], e.line)
        if e.name in ("min", "max") and len(values) == 2 and not real:
            fixed = combined(*values, min if e.name == "min" else max)
            if fixed is not None and len(fixed) == 1:
                return Value((), fixed[0], fixed)
        if _WIRES.match(e.name):
            name = "wire"
            real = "float" in e.name or "half" in e.name or (real and "_" not in e.name)
        else:
            name = "select" if e.name in _SMALL else f"call:{e.name}@{e.line}"
            if name[0] == "c" and self._c.current is not None and self._c.recording:
                self._c.current.calls.add(e.name)
        deps = merged([v.deps for v in values], name)
        made = self._opaque(deps, real or e.name.startswith(("native_", "half_", "sqrt", "exp")))
        if values and all(v.fixed for v in values) and not real:
            return replace(made, values=())
        return made

    def _channel(self, e: Call, read: bool, blocking: bool) -> Value:
        name, index = _channel_name(e.arguments[0]), None
        if isinstance(e.arguments[0], Index):
            index = self.value(e.arguments[0].index)
        rest = e.arguments[1:]
        value = ZERO
        if not read and rest:
            value = self.value(rest[0])
        found = self._c.channel(name, index, read, blocking, value, e.line)
        if read:
            # The flag of a non-blocking read, and a pipe's target, get what the call brings.
            for target in rest:
                if isinstance(target, Unary) and target.operator == "&":
                    self._store(target.operand, found, e.line)
        return found

    def _vector(self, e: Call, load: bool, width: int) -> Value:
        data = None if load else self.value(e.arguments[0])
        at = self.value(e.arguments[0 if load else 1])
        pointed = self.value(e.arguments[1 if load else 2]).place
        if pointed is None:
            return self._opaque(merged([at.deps]), False)
        scaled = self._binary("*", at, Value((), width, (width,)))
        found = self._moved(pointed, scaled)
        if data is None:
            return self._c.read(found, e.line, width)
        self._c.write(found, data, e.line, width)
        return data


def _channel_name(e: Expression) -> str:
    match e:
        case Name(text=text):
            return text
        case Index(base=base) | Member(base=base):
            return _channel_name(base)
        case Unary(operand=operand):
            return _channel_name(operand)
    return ""
