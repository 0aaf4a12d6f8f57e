"""The JSON files beside a page: where each of its numbers is found again.

A *source* names a value: ``FILE#/POINTER``, where the pointer is one of RFC 6901. A page shows
nothing that has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shiftforge import __version__

__all__ = ["GENERATOR", "NAMES", "Documents", "document_start", "document_text", "pointed"]

GENERATOR = f"ShiftForge {__version__} report"
"""What the files say of who wrote them."""
NAMES = (
    "accuracy.json",
    "counted_layer_cycles.json",
    "counted_network_performance.json",
    "estimate_layer_cycles.json",
    "estimate_layer_resources.json",
    "estimate_network_performance.json",
    "loops.json",
    "memory_map.json",
    "network.json",
    "routed_blocks.json",
)
"""Every file that may lie beside a page."""


@dataclass(frozen=True, eq=False)
class Documents:
    """Values in JSON's own types, by the name of the file that holds them."""

    files: Mapping[str, Any]

    def at(self, source: str) -> Any:
        """The value that a source names. Raises KeyError, which says of what there is none."""
        name, _, pointer = source.partition("#")
        if name not in self.files:
            raise KeyError(f"no file {name}")
        return pointed(self.files[name], pointer)

    def has(self, source: str) -> bool:
        """Whether there is such a value, and it is not null."""
        try:
            return self.at(source) is not None
        except KeyError:
            return False


def pointed(value: Any, pointer: str) -> Any:
    """What an RFC 6901 pointer finds in a value. Raises KeyError."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise KeyError(f"nothing at {pointer}")
    return value


def document_text(value: Mapping[str, Any], page: str) -> str:
    """A file's text, identical for identical input. page: the name of the page that it is of."""
    whole = {"page": page, "generator": GENERATOR, **value}
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def document_start(page: str) -> str:
    """How the text of a file begins that is of a page, whatever version wrote it."""
    return f'{{\n "page": {json.dumps(page)},\n "generator": "{GENERATOR.split()[0]} '
