"""A design: the generated files in memory, their digest, and writing them safely."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem

__all__ = ["MANIFEST", "Design", "read_manifest"]

MANIFEST = "shiftforge.json"


@dataclass(frozen=True, eq=False)
class Design:
    """Generated files by relative path, and the figures that describe them.

    report: what ``generate --json`` prints; ``digest`` is added to it.
    manifest: what the runtime needs to know (sizes, file names), stored in the folder.
    """

    files: Mapping[str, bytes]
    report: Mapping[str, Any]
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over all paths and contents, in sorted order."""
        total = hashlib.sha256()
        for path in sorted(self.files):
            total.update(f"{path}\0{len(self.files[path])}\0".encode())
            total.update(self.files[path])
        return total.hexdigest()

    def write(self, folder: str | Path) -> list[str]:
        """Write the files; returns the paths whose contents changed.

        A file is replaced in one step and left alone where it is equal already. Files of an
        earlier design that this one does not have are removed. The manifest goes last.
        Raises InputError where the folder holds anything that is not a design's.
        """
        root = Path(folder)
        old = _owned_files(root)
        changed = []
        manifest = {**self.manifest, "digest": self.digest, "files": sorted(self.files)}
        text = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
        for path in sorted(set(old) - set(self.files)):
            (root / path).unlink(missing_ok=True)
            changed.append(path)
        for path in [*sorted(self.files), MANIFEST]:
            data = text if path == MANIFEST else self.files[path]
            target = root / path
            if target.is_file() and not target.is_symlink() and target.read_bytes() == data:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, data)
            changed.append(path)
        return changed


def _replace(target: Path, data: bytes) -> None:
    """Write to a temporary file beside the target and rename it: never half a file."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_folder(folder: str | Path) -> None:
    """Raise InputError unless a design may be written to the folder."""
    _owned_files(Path(folder))


def _owned_files(root: Path) -> list[str]:
    """Files of the design that lies in the folder; empty for a new or empty folder."""
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise InputError(Problem("is not a folder", "choose another output folder", str(root)))
    if not root.exists():
        if not root.parent.is_dir():
            raise InputError(
                Problem("the parent folder does not exist", "create it first", str(root))
            )
        return []
    if not any(root.iterdir()):
        return []
    linked = sorted(p for p in root.rglob("*") if p.is_symlink() and p.is_dir())
    if linked:
        raise InputError(
            [Problem("a folder of the design is a symbolic link", "remove it", str(p))
             for p in linked]
        )  # fmt: skip
    if not (root / MANIFEST).is_file():
        raise InputError(
            Problem(
                "the output folder is not empty and holds no earlier design",
                "choose an empty folder, or one that `generate` wrote",
                str(root),
            )
        )
    return [str(p) for p in read_manifest(root)["files"]]


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a design folder; raises InputError where it is missing or malformed."""
    path = Path(folder) / MANIFEST
    remedy = "give a folder that `shiftforge generate` wrote"
    if not path.is_file():
        raise InputError(Problem(f"no {MANIFEST} in the folder", remedy, str(folder)))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(
            Problem(f"cannot read the manifest: {error}", remedy, str(path))
        ) from error
    manifest: dict[str, Any] = data if isinstance(data, dict) else {}
    names = manifest.get("files")
    if not isinstance(names, list) or not all(_plain(name) for name in names):
        raise InputError(Problem("the manifest lists no valid files", remedy, str(path)))
    return manifest


def _plain(name: object) -> bool:
    """Whether a listed path stays inside the folder."""
    if not isinstance(name, str) or not name:
        return False
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts
