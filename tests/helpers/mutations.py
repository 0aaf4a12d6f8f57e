"""Files that are nearly right: hypothesis strategies that damage bytes, JSON and safetensors."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

__all__ = ["Damage", "content", "damaged_bytes", "damaged_json", "damaged_safetensors", "odd_place"]

Damage = Callable[[Path], None]
"""Puts a damaged file, or something that is no file, at a path."""

ODD = (
    None, True, False, -1, 0, 1, 2, 3, 7, 255, 65536, 1 << 31, 1 << 40, 1 << 62, 1 << 64, 0.5, -0.0,
    1e308, 1e-308, "", "x", "..", "/", "a\nb", "\ud800", "*/ int evil(int a) /*", "$(shell id)",
    "9" * 400, [], {}, [[]], [None], [0], [1, 2], [1, 2, 3], [1, 2, 3, 4], {"a": 1},
)  # fmt: skip
_BOUNDS = (0, 1, 2, 127, 128, 254, 255)


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with one to four pieces flipped, set, cut, doubled, moved, zeroed or added."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(found) - 1, 0)))
        length = draw(st.sampled_from((1, 2, 4, 8, 64, 4096)))
        kind = draw(
            st.sampled_from(("flip", "set", "cut", "drop", "double", "zero", "add", "word"))
        )
        if kind == "flip" and found:
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and found:
            found[at] = draw(st.sampled_from(_BOUNDS))
        elif kind == "cut":
            del found[at:]
        elif kind == "drop":
            del found[at : at + length]
        elif kind == "double":
            found[at:at] = found[at : at + length]
        elif kind == "zero":
            found[at : at + length] = bytes(len(found[at : at + length]))
        elif kind == "add":
            found[at:at] = draw(st.binary(max_size=16))
        elif kind == "word":  # where a length may stand
            word = draw(st.sampled_from((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1)))
            size = draw(st.sampled_from((2, 4, 8)))
            order = draw(st.sampled_from(("little", "big")))
            found[at : at + size] = (word & ((1 << 8 * size) - 1)).to_bytes(size, order)
    return bytes(found)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inside:
            yield (*path, key)
            yield from _places(item, (*path, key))


@st.composite
def damaged_value(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one to three places replaced, removed, renamed, doubled or buried."""
    found = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(found))
        if not places:
            return draw(st.sampled_from(ODD))
        path = draw(st.sampled_from(places))
        inner = found
        for key in path[:-1]:
            inner = inner[key]
        key = path[-1]
        kind = draw(
            st.sampled_from(("odd", "odd", "odd", "drop", "rename", "double", "other", "bury"))
        )
        if kind == "odd":
            inner[key] = draw(st.sampled_from(ODD))
        elif kind == "drop":
            del inner[key]
        elif kind == "rename" and isinstance(inner, dict):
            inner[draw(st.sampled_from(("", "x", "name", "shape")))] = inner.pop(key)
        elif kind == "double" and isinstance(inner, list):
            inner.insert(key, copy.deepcopy(inner[key]))
        elif kind == "other":
            other = draw(st.sampled_from(places))
            source = found
            for step in other:
                source = source[step] if isinstance(source, dict | list) else source
            inner[key] = copy.deepcopy(source)
        elif kind == "bury":
            inner[key] = [inner[key]]
    return found


@st.composite
def damaged_json(draw: st.DrawFn, text: bytes) -> bytes:
    """JSON text with its value damaged, or its bytes, or nested without end."""
    kind = draw(st.sampled_from(("value", "value", "value", "bytes", "deep", "digits", "constant")))
    if kind == "bytes":
        return draw(damaged_bytes(text))
    value = draw(damaged_value(json.loads(text)))
    if kind == "deep":
        return b'{"a":' * 100_000
    new = json.dumps(value)
    if kind == "digits":
        new = new.replace("1", "1" * 5000, 1)
    if kind == "constant":
        new = new.replace("0", draw(st.sampled_from(("NaN", "Infinity", "-Infinity"))), 1)
    return new.encode("utf-8", "surrogatepass")


@st.composite
def damaged_safetensors(draw: st.DrawFn, data: bytes) -> bytes:
    """A safetensors file with its header, the text in its metadata, or its bytes damaged."""
    kind = draw(st.sampled_from(("bytes", "header", "text", "text", "payload", "size")))
    length = int.from_bytes(data[:8], "little")
    header, payload = json.loads(data[8 : 8 + length]), data[8 + length :]
    if kind == "bytes":
        return draw(damaged_bytes(data))
    if kind == "size":
        claim = draw(st.sampled_from((0, 1, 1 << 20, 1 << 40, (1 << 64) - 1)))
        return claim.to_bytes(8, "little") + data[8:]
    if kind == "payload":
        return data[: 8 + length] + draw(damaged_bytes(payload))
    metadata = header.get("__metadata__", {})
    if kind == "text" and "shiftforge" in metadata:
        new = draw(damaged_json(metadata["shiftforge"].encode()))
        metadata["shiftforge"] = new.decode("utf-8", "replace")
    else:
        header = draw(damaged_value(header))
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + payload


def _no_file(kind: str) -> Damage:
    def put(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            return
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "circle":
            path.symlink_to(path.name)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "empty":
            path.write_bytes(b"")
        elif kind == "sparse":
            with path.open("wb") as stream:
                stream.truncate(1 << 40)

    return put


def odd_place() -> st.SearchStrategy[Damage]:
    """What is no file at all, or an odd one: a pipe, a folder, a circle of links, a device."""
    kinds = ("pipe", "folder", "circle", "device", "empty", "sparse", "gone")
    return st.sampled_from(kinds).map(_no_file)


def content(strategy: st.SearchStrategy[bytes]) -> st.SearchStrategy[Damage]:
    """Damage that writes what the strategy gives."""

    def put(data: bytes) -> Damage:
        return lambda path: path.unlink(missing_ok=True) or (path.write_bytes(data) and None)

    return strategy.map(put)
