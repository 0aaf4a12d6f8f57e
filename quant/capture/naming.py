"""Readable, unique identifiers for graph nodes, from the module paths they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["node_names"]


_LONGEST = 100
# Operators without weights.
_WITHOUT = {
    "add", "pool", "max_pool", "average_pool", "concat", "slice", "shuffle", "table", "upsample",
}  # fmt: skip


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _identifier(path: str) -> str:
    # They stand in generated code and in names of files: letters of ASCII, and not too many.
    text = re.sub(r"\W", "_", path, flags=re.ASCII)[:_LONGEST]
    return text if not text or text[0].isalpha() else f"m{text}"


def node_names(
    sources: Sequence[tuple[str, str]], reserved: set[str], prefix: str = ""
) -> list[str]:
    """Names for nodes given as (module path, operator), in order.

    A layer that is the only one in its parent module takes the parent's name
    ("layer.0.expand_1x1.convolution" -> "layer_0_expand_1x1"); an operator without weights takes
    its module's name and its own ("layer_0_add"). prefix is a leading module to leave out.
    reserved: names already taken; repeated names get _2, _3 and so on.
    """
    layers = [path for path, operator in sources if operator not in _WITHOUT]
    taken = set(reserved)
    names = []
    for path, operator in sources:
        if operator in _WITHOUT:
            named = operator.endswith("pool") and "pool" in path
            short = path if named else f"{path}.{operator}"
        else:
            parent = _parent(path)
            alone = sum(p == parent or p.startswith(f"{parent}.") for p in layers) == 1
            short = parent if parent and parent != prefix and alone else path
        base = _identifier(short.removeprefix(f"{prefix}.").strip(".")) or operator
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        names.append(name)
    return names
