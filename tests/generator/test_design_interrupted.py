"""A design's folder after a kill, an edit or a plant: whole, or told and finished by a rerun."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shiftforge.atomic import is_leftover
from shiftforge.errors import InputError
from shiftforge.generator import design as design_module
from shiftforge.generator.design import Design, check_folder
from shiftforge.generator.manifest import (
    MANIFEST,
    Content,
    could_hold,
    edited_files,
    is_unfinished,
    manifest_text,
    read_manifest,
)
from shiftforge.generator.project import open_project

OLD = Design(
    {
        "device/a.cl": b"old kernel",
        "data/w.bin": b"old",
        "host/host.py": b"gone",
        "plan.json": b"1",
    },
    {},
    {"kind": "conv", "schema": 1},
)
NEW = Design(
    {"device/a.cl": b"new kernel", "data/w.bin": b"new", "data/x.bin": b"more", "plan.json": b"1"},
    {},
    {"kind": "conv", "schema": 1},
)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _killed_at(step: int, design: Design, folder: Path) -> bool:
    """A child that writes, and dies at the step-th call that changes the folder; whether it did."""
    child = os.fork()
    if child == 0:
        left = [step]

        def dying(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return function(*args, **kwargs)

            return call

        places = [(os, "replace"), (os, "fsync"), (tempfile, "mkstemp")]
        for module, name in places + [(Path, n) for n in ("mkdir", "rmdir", "unlink")]:
            setattr(module, name, dying(getattr(module, name)))
        design.write(folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("over", [None, OLD], ids=["nothing", "an old design"])
def test_killed_anywhere_the_folder_is_whole_or_finished_by_a_rerun(
    over: Design | None, tmp_path: Path
) -> None:
    NEW.write(tmp_path / "wanted")
    wanted, old = tree(tmp_path / "wanted"), {}
    unfinished = step = 0
    while True:
        folder = tmp_path / f"d{step}"
        if over is not None:
            over.write(folder)
            old = tree(folder)
        if not _killed_at(step, NEW, folder):
            break
        held = {k: v for k, v in tree(folder).items() if not is_leftover(Path(k).name)}
        if held not in (old, wanted) and held:
            unfinished += 1
            with pytest.raises(InputError, match="unfinished"):
                open_project(folder)
        NEW.write(folder)
        assert tree(folder) == wanted
        assert not (folder / "host").exists()
        step += 1
    assert step > 20
    assert unfinished > 5


def test_a_third_design_finishes_what_two_left(tmp_path: Path) -> None:
    OLD.write(tmp_path / "d")
    assert _killed_at(12, NEW, tmp_path / "d")
    assert is_unfinished(read_manifest(tmp_path / "d"))
    third = Design({"device/b.cl": b"third"}, {}, {"kind": "conv"})
    third.write(tmp_path / "d")
    assert set(tree(tmp_path / "d")) == {"device/b.cl", MANIFEST}


def test_a_planted_manifest_removes_nothing(tmp_path: Path) -> None:
    victims = {"thesis.txt": b"years", "notes/a.bin": b"x", "data/w.bin": b"mine"}
    for name, data in victims.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    right = {name: Content.of(data) for name, data in victims.items()}
    wrong = {"data/w.bin": Content.of(b"something else")}
    for files in ({k: right[k] for k in ("thesis.txt", "notes/a.bin")}, wrong):
        (tmp_path / MANIFEST).write_bytes(manifest_text({"kind": "conv"}, files))
        Design({"device/a.cl": b"k"}, {}, {"kind": "conv"}).write(tmp_path)
        assert all((tmp_path / name).read_bytes() == data for name, data in victims.items())


def test_an_edited_file_is_kept_until_it_is_given_up(tmp_path: Path) -> None:
    OLD.write(tmp_path / "d")
    (tmp_path / "d/device/a.cl").write_bytes(b"my tuning")
    before = tree(tmp_path / "d")
    with pytest.raises(InputError, match=r"a\.cl: was edited since") as error:
        NEW.write(tmp_path / "d")
    assert "--overwrite" in error.value.problems[0].remedy
    assert tree(tmp_path / "d") == before
    NEW.write(tmp_path / "d", overwrite=True)
    assert edited_files(tmp_path / "d", read_manifest(tmp_path / "d")) == []


def test_an_edited_file_that_the_new_design_lacks_is_left(tmp_path: Path) -> None:
    OLD.write(tmp_path / "d")
    (tmp_path / "d/host/host.py").write_bytes(b"my host")
    NEW.write(tmp_path / "d")
    assert (tmp_path / "d/host/host.py").read_bytes() == b"my host"


def test_two_writers_at_once_are_told(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with design_module._alone(tmp_path / "d"), pytest.raises(InputError, match="another process"):
        NEW.write(tmp_path / "d")
    NEW.write(tmp_path / "d")


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    NEW.write(tmp_path / "d")
    manifest = read_manifest(tmp_path / "d")
    for name, data in NEW.files.items():
        for place in range(len(data) * 8):
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << place % 8
            (tmp_path / "d" / name).write_bytes(flipped)
            (problem,) = edited_files(tmp_path / "d", manifest)
            assert problem.where.endswith(name)
        (tmp_path / "d" / name).write_bytes(data)
    assert edited_files(tmp_path / "d", manifest) == []


def test_an_edited_manifest_is_noticed(tmp_path: Path) -> None:
    NEW.write(tmp_path / "d")
    path = tmp_path / "d" / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "kind": "other"}))
    (problem,) = edited_files(tmp_path / "d", read_manifest(tmp_path / "d"))
    assert "was edited" in problem.what


def test_files_cut_lengthened_linked_and_missing_are_noticed(tmp_path: Path) -> None:
    NEW.write(tmp_path / "d")
    manifest = read_manifest(tmp_path / "d")
    (tmp_path / "d/device/a.cl").write_bytes(b"new")
    (tmp_path / "d/data/w.bin").write_bytes(b"new and more")
    (tmp_path / "d/data/x.bin").unlink()
    (tmp_path / "d/plan.json").rename(tmp_path / "plan")
    (tmp_path / "d/plan.json").symlink_to(tmp_path / "plan")
    found = [str(p) for p in edited_files(tmp_path / "d", manifest)]
    told = ("12 bytes in place of 3", "is missing", "3 bytes in place of 10", "no regular file")
    assert all(words in text for text, words in zip(found, told, strict=True))


def test_folders_and_files_in_each_others_place_are_told_before_anything_changes(
    tmp_path: Path,
) -> None:
    OLD.write(tmp_path / "d")
    (tmp_path / "d/data/x.bin").mkdir()
    before = tree(tmp_path / "d")
    with pytest.raises(InputError, match=r"x\.bin: is a folder"):
        NEW.write(tmp_path / "d", overwrite=True)
    assert tree(tmp_path / "d") == before
    (tmp_path / "d/data/x.bin").rmdir()
    (tmp_path / "d/rtl").write_text("x")
    with pytest.raises(InputError, match="rtl: is no folder"):
        check_folder(tmp_path / "d")


@pytest.mark.parametrize(
    ("path", "ours"),
    [("device/accelerator.cl", True), ("data/weights.bin", True), ("rtl/REGISTERS.md", True),
     ("rtl/files.f", True), ("rtl/pu.sdc", True), ("rtl/files.fx", False),
     ("network.safetensors", True), ("thesis.txt", False), ("data/../x.bin", False),
     ("/etc/passwd", False), ("data/sub/w.bin", False), ("Makefile.am", False)],
)  # fmt: skip
def test_the_paths_that_a_design_can_have(path: str, ours: bool) -> None:
    assert could_hold(path) == ours
    if not ours:
        with pytest.raises(ValueError, match="no paths of a design"):
            Design({path: b""}, {})


@pytest.mark.parametrize("over", [None, OLD], ids=["nothing", "an old design"])
def test_a_full_disk_leaves_what_was_there(over: Design | None, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    if over is not None:
        over.write(folder)
    before = tree(tmp_path)
    real = Path.write_bytes
    for full_at in range(5):
        left = [full_at]

        def write(path: Path, data: bytes, left: list[int] = left) -> int:
            if left[0] == 0:
                real(path, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            left[0] -= 1
            return real(path, data)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "write_bytes", write)
            with pytest.raises(InputError, match="No space left"):
                NEW.write(folder)
        assert tree(tmp_path) == before
        assert folder.exists() == (over is not None)
    NEW.write(folder)
    assert edited_files(folder, read_manifest(folder)) == []
