"""How pictures come to a network's size: its words, its JSON and its checks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.types import Preprocess, Resize

__all__ = [
    "LARGEST_SIDE",
    "ResizeChoice",
    "check_resize",
    "chosen_resize",
    "describe",
    "resize_from_json",
    "resize_to_json",
]

ResizeChoice: TypeAlias = Literal["squash", "crop"]
_WORDS: dict[str, tuple[str, ...]] = {
    name: get_args(hint) for name, hint in get_type_hints(Resize).items() if name != "sides"
}
_COUNTS = {"squash": (0, 2), "edge": (1,), "none": (0,), "exact": (0,)}
LARGEST_SIDE = 1 << 16


def resize_to_json(resize: Resize) -> dict[str, Any]:
    """The field of a model file; none for what files without it mean."""
    if resize == Resize():
        return {}
    return {
        "resize": {
            "kind": resize.kind,
            "sides": list(resize.sides),
            "filter": resize.filter,
            "alpha": resize.alpha,
            "centre": resize.centre,
        }
    }


def resize_from_json(preprocess: Fields) -> Resize:
    """What the field says, its faults noted; a file without it squashes, bilinearly."""
    if not preprocess.has("resize"):
        return Resize()
    fields = preprocess.child("resize")
    words: dict[str, Any] = {}
    for name, known in _WORDS.items():
        words[name] = fields.text(name)
        if words[name] not in known:
            fields.note(f"field {name!r} is none of {', '.join(known)}")
    given = fields.raw("sides")
    count = len(given) if isinstance(given, list) else 0
    return Resize(sides=fields.integers("sides", count), **words)


def check_resize(resize: Resize) -> list[str]:
    """Every fault of a rule, in words."""
    faults = [
        f"resize has the {name} {getattr(resize, name)!r}, not one of {', '.join(known)}"
        for name, known in _WORDS.items()
        if getattr(resize, name) not in known
    ]
    counts = _COUNTS.get(resize.kind)
    if counts is not None and len(resize.sides) not in counts:
        faults.append(f"resize {resize.kind} has {len(resize.sides)} sides")
    if not all(isinstance(side, int) and 1 <= side <= LARGEST_SIDE for side in resize.sides):
        faults.append(f"resize has the sides {resize.sides}, sides are 1..{LARGEST_SIDE}")
    return faults


def chosen_resize(preprocess: Preprocess, choice: str | None) -> Preprocess:
    """The preprocessing with another way to resize; None leaves it.

    "squash": straight to the network's size. "crop": proportions are kept; as the source says
    where it crops by itself, otherwise the shorter side is resized to the network's longer one and
    the centre is taken. Raises InputError for another word.
    """
    if choice is None:
        return preprocess
    if choice not in get_args(ResizeChoice):
        raise InputError(Problem(f"unknown way to resize {choice!r}", "use squash or crop"))
    resize = preprocess.resize
    if choice == "squash":
        resize = replace(resize, kind="squash", sides=())
    elif resize.kind != "edge":
        side = max(preprocess.height, preprocess.width)
        resize = replace(resize, kind="edge", sides=(side,))
    return replace(preprocess, resize=resize)


def describe(preprocess: Preprocess) -> str:
    """One line on what becomes of a picture of another size."""
    resize, size = preprocess.resize, f"{preprocess.height}x{preprocess.width}"
    if resize.kind == "exact":
        return f"pictures have to be of {size}"
    if resize.kind == "none":
        return f"pictures are not resized; their centre of {size} is taken"
    if resize.kind == "edge":
        return (
            f"pictures are resized ({resize.filter}) to a shorter side of {resize.sides[0]}, "
            f"and their centre of {size} is taken"
        )
    if not resize.sides or resize.sides == (preprocess.height, preprocess.width):
        return f"pictures are squashed to {size} ({resize.filter})"
    height, width = resize.sides
    return (
        f"pictures are squashed to {height}x{width} ({resize.filter}), and their centre of {size} "
        "is taken"
    )
