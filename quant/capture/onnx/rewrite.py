"""Calls of a walk, replaced one by one: what the patterns of quantised exports are written with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from shiftforge.quant.capture.onnx.call import Call
from shiftforge.quant.capture.onnx.walk import Walk

__all__ = ["Rewrite", "exponent_of"]


def exponent_of(scale: float) -> int | None:
    """e of 2**e; None where it is no power of two."""
    mantissa, exponent = math.frexp(scale)
    return exponent - 1 if mantissa == 0.5 else None


class Rewrite:
    """The calls in order, by what they make. ends: values that the model returns."""

    def __init__(self, found: Walk, ends: Sequence[str]) -> None:
        self.found, self.ends = found, frozenset(ends)
        self.calls = list(found.calls)

    def index(self) -> None:
        """Look again at who makes and reads what; after every pass."""
        self._made = {name: call for call in self.calls for name in call.outputs if name}
        self._reads = Counter(name for call in self.calls for name in call.inputs)

    def maker(self, name: str, *kinds: str, sole: bool = True) -> Call | None:
        """The call of one of these kinds that makes a value; sole: that nothing else reads."""
        call = self._made.get(name)
        if call is None or call.kind not in kinds:
            return None
        return call if not sole or (self._reads[name] == 1 and name not in self.ends) else None

    def value(self, call: Call, place: int) -> NDArray[Any] | None:
        """An input that is known beforehand."""
        return self.found.constants[call.inputs[place]] if call.is_constant(place) else None

    def number(self, call: Call, place: int) -> float | None:
        """An input that is one number known beforehand."""
        value = self.value(call, place)
        return None if value is None or value.size != 1 else float(value.reshape(()))

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A new constant, under a name that nothing has."""
        while name in self.found.shapes:
            name += "_"
        self.found.constants[name] = value
        self.found.shapes[name] = value.shape
        return name

    def like(
        self,
        call: Call,
        kind: str,
        inputs: Sequence[str],
        output: str,
        attributes: Mapping[str, Any] | None = None,
    ) -> Call:
        """A call in another's place, and of its shape unless its output has one already."""
        self.found.shapes.setdefault(output, call.made)
        given = {} if attributes is None else dict(attributes)
        return replace(
            call, kind=kind, name=output, inputs=tuple(inputs), outputs=(output,), attributes=given
        )

    def put(self, instead: Mapping[str, Sequence[Call]]) -> None:
        """Others in place of calls, by the first value that these make; the dead ones go."""
        made: list[Call] = []
        for call in self.calls:
            made += instead.get(call.outputs[0], (call,))
        needed, live = set(self.ends), []
        for call in reversed(made):
            if needed & set(call.outputs):
                # What was replaced may have made a value of the same name: the last one counts.
                needed = (needed - set(call.outputs)) | set(call.inputs)
                live.append(call)
        self.calls = live[::-1]
        self.index()
