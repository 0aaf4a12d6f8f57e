"""The manifest of a generated folder: what the folder holds, to the last bit.

``shiftforge.json`` names every file of the design with its SHA-256, so that a folder that was cut
short, damaged or edited is told from what ``generate`` wrote. While a design is being written it
says ``unfinished`` and names, for every file, each content that the file may have until the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.files import open_file
from shiftforge.jsontext import read_json

__all__ = [
    "MANIFEST",
    "Content",
    "could_hold",
    "edited_files",
    "file_content",
    "is_sealed",
    "is_unfinished",
    "manifest_text",
    "read_manifest",
    "recorded",
    "unfinished_text",
]

MANIFEST = "shiftforge.json"
_MOST = 16 << 20
# A design has some dozens, with names of some dozens of bytes.
_MOST_FILES, _LONGEST = 2000, 255
_REMEDY = "give a folder that `shiftforge generate` wrote"
_AGAIN = "run `shiftforge generate` again into the same folder"
_EDITED = (
    "`shiftforge generate` with --overwrite writes it again; --edited runs it as it is, "
    "if it was edited on purpose"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OWN = "manifest"  # the key of the manifest's own digest
# Every path that a design can have. Nothing else in a folder is ever replaced or removed.
_PATHS = re.compile(
    r"Makefile|README\.md|(loops|plan|report|tokenizer)\.json|(model|network)\.safetensors"
    r"|device/\w+\.clh?|data/\w+\.(bin|json|hex|txt)|host/\w+\.py|rtl/\w+\.(sv|f|sdc|md|cpp|json)"
)


@dataclass(frozen=True)
class Content:
    """What a file holds: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Content:
        """The content that these bytes are."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


def could_hold(path: str) -> bool:
    """Whether a path, relative to the folder, is one that a design may have."""
    return _PATHS.fullmatch(path) is not None


def manifest_text(manifest: Mapping[str, Any], files: Mapping[str, Content]) -> bytes:
    """A finished design's manifest. files: by path."""
    return _text({**manifest, "files": {path: asdict(own) for path, own in files.items()}})


def unfinished_text(manifest: Mapping[str, Any], files: Mapping[str, frozenset[Content]]) -> bytes:
    """The manifest while the files are being written. files: each content that a file may have."""
    held = {
        path: [asdict(own) for own in sorted(contents, key=lambda c: c.sha256)]
        for path, contents in files.items()
    }
    named = {name: manifest[name] for name in ("kind", "schema") if name in manifest}
    return _text({**named, "unfinished": True, "files": held})


def _text(manifest: dict[str, Any]) -> bytes:
    return _json({**manifest, _OWN: hashlib.sha256(_json(manifest)).hexdigest()})


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a design's folder, finished or not.

    Raises InputError where it is missing or malformed; that it says what ``generate`` wrote is
    checked by ``edited_files``.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise InputError(Problem(f"no {MANIFEST} in the folder", _REMEDY, str(folder)))
    manifest = read_json(path, most=_MOST, remedy=_REMEDY)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if isinstance(files, list):
        what = "the manifest lists files without digests: it is of an earlier version"
        remedy = "run `shiftforge generate` into an empty folder"
        raise InputError(Problem(what, remedy, str(path)))
    if isinstance(files, dict) and len(files) > _MOST_FILES:
        what = f"the manifest lists {len(files):,} files; no design has more than {_MOST_FILES:,}"
        raise InputError(Problem(what, _REMEDY, str(path)))
    begun = isinstance(manifest, dict) and is_unfinished(manifest)
    if not isinstance(files, dict) or not all(_valid(p, d, begun) for p, d in files.items()):
        raise InputError(Problem("the manifest lists no valid files", _REMEDY, str(path)))
    assert isinstance(manifest, dict)
    return manifest


def _valid(path: str, contents: object, begun: bool) -> bool:
    """Whether an entry stays inside the folder and says what the file holds. begun: the design is
    unfinished, and each file may have several contents, one at least."""
    if not path or not path.isprintable() or Path(path).is_absolute() or ".." in Path(path).parts:
        return False
    several = isinstance(contents, list)
    if len(os.fsencode(path)) > _LONGEST or (several and not (begun and contents)):
        return False
    return all(
        isinstance(own, dict)
        and own.keys() == {"size", "sha256"}
        and type(own["size"]) is int
        and own["size"] >= 0
        and isinstance(own["sha256"], str)
        and _DIGEST.fullmatch(own["sha256"])
        for own in (contents if isinstance(contents, list) else [contents])
    )


def is_sealed(manifest: Mapping[str, Any]) -> bool:
    """Whether the manifest is as it was written."""
    rest = {name: value for name, value in manifest.items() if name != _OWN}
    return bool(manifest.get(_OWN) == hashlib.sha256(_json(rest)).hexdigest())


def is_unfinished(manifest: Mapping[str, Any]) -> bool:
    """Whether writing the design has begun and not ended."""
    return "unfinished" in manifest


def recorded(manifest: Mapping[str, Any]) -> dict[str, frozenset[Content]]:
    """Each content that a file of the folder may have, by path."""
    return {
        path: frozenset(Content(**own) for own in (held if isinstance(held, list) else [held]))
        for path, held in manifest["files"].items()
    }


def file_content(path: Path, among: frozenset[Content] | None = None) -> Content | None:
    """What a regular file holds; None for a symbolic link and for anything else.

    among: the contents of interest; a file of another length is not read, and gets no digest.
    """
    if path.is_symlink() or not path.is_file():
        return None
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if among is not None and size not in {own.size for own in among}:
            return Content(size, "")
        return Content(size, hashlib.file_digest(stream, "sha256").hexdigest())


def edited_files(folder: Path, manifest: Mapping[str, Any]) -> list[Problem]:
    """A problem for every file that is missing or not what was generated, the manifest included."""
    found = []
    if not is_sealed(manifest):
        found.append(Problem("was edited, or is damaged", _EDITED, str(folder / MANIFEST)))
    for path, contents in sorted(recorded(manifest).items()):
        own = folder / path
        held = file_content(own, contents)
        if held is None:
            there = "is no regular file" if own.exists() or own.is_symlink() else "is missing"
            found.append(Problem(f"a file of the design {there}", _AGAIN, str(own)))
        elif held not in contents:
            (wanted,) = {one.size for one in contents}
            size = "" if held.size == wanted else f": {held.size:,} bytes in place of {wanted:,}"
            found.append(Problem(f"is not what was generated{size}", _EDITED, str(own)))
    return found
