"""Designs on disk: written in one step a file, only where changed, only into folders of ours."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shiftforge.errors import InputError
from shiftforge.generator.design import Design, check_folder
from shiftforge.generator.manifest import MANIFEST, edited_files, read_manifest

FILES = {"device/a.cl": b"kernel", "data/w.bin": bytes(range(9)), "plan.json": b"{}\n"}


def design(**more: bytes) -> Design:
    return Design({**FILES, **more}, {"lanes": 1}, {"schema": 1})


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_new_folder_holds_the_files_and_the_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    changed = design().write(folder)
    assert changed == [*sorted(FILES), MANIFEST]
    written = tree(folder)
    manifest = json.loads(written.pop(MANIFEST))
    assert written == FILES
    assert manifest.pop("manifest") == read_manifest(folder)["manifest"]
    assert manifest == {
        "schema": 1,
        "digest": design().digest,
        "files": {
            path: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in FILES.items()
        },
    }
    assert edited_files(folder, read_manifest(folder)) == []


def test_the_digest_is_over_sorted_paths_and_contents() -> None:
    total = hashlib.sha256()
    for path in sorted(FILES):
        total.update(f"{path}\0{len(FILES[path])}\0".encode() + FILES[path])
    assert design().digest == total.hexdigest()
    backwards = Design(dict(reversed(FILES.items())), {}, {})
    assert backwards.digest == design().digest
    others = [
        design(**{"plan.json": b"{ }\n"}),
        design(**{"data/x.bin": b""}),
        # the same bytes, cut elsewhere
        design(**{"data/w.bin": FILES["data/w.bin"] + b"1"}),
    ]
    assert len({d.digest for d in [design(), *others]}) == 4


def test_equal_files_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    design().write(folder)
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(10**15, 10**15))
    assert design().write(folder) == []
    assert all(p.stat().st_mtime_ns == 10**15 for p in folder.rglob("*") if p.is_file())
    assert design(**{"plan.json": b"[]"}).write(folder) == ["plan.json", MANIFEST]
    assert (folder / "device/a.cl").stat().st_mtime_ns == 10**15


def test_files_of_an_earlier_design_are_removed_and_others_kept(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    design(**{"host/old.py": b"1"}).write(folder)
    (folder / "notes.txt").write_text("mine")
    assert "host/old.py" in design().write(folder)
    assert not (folder / "host").exists()
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_failed_write_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "d"
    design().write(folder)
    before = tree(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        design(**{"data/w.bin": b"new"}).write(folder)
    assert tree(folder) == before  # and no temporary file is left


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    design().write(tmp_path)
    assert (tmp_path / MANIFEST).is_file()


def refused(folder: Path, message: str) -> None:
    before = tree(folder) if folder.is_dir() else {}
    for action in (design().write, lambda f: check_folder(f)):
        with pytest.raises(InputError, match=message) as caught:
            action(folder)
        assert all(p.remedy for p in caught.value.problems)
    assert (tree(folder) if folder.is_dir() else {}) == before


def test_foreign_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("text")
    refused(tmp_path, "not empty and holds no earlier design")


def test_files_links_and_missing_parents_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "is not a folder")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    refused(tmp_path / "link", "is not a folder")
    refused(tmp_path / "no/such", "parent folder does not exist")


def test_links_inside_a_design_do_not_lead_out(tmp_path: Path) -> None:
    folder, outside = tmp_path / "d", tmp_path / "outside"
    outside.mkdir()
    design().write(folder)
    # a linked file is replaced by a file of its own; what it pointed at stays
    (outside / "plan").write_text("theirs")
    (folder / "plan.json").unlink()
    (folder / "plan.json").symlink_to(outside / "plan")
    assert design().write(folder) == ["plan.json"]
    assert not (folder / "plan.json").is_symlink()
    assert (outside / "plan").read_text() == "theirs"
    # a linked folder is refused
    (folder / "data/w.bin").unlink()
    (folder / "data").rmdir()
    (folder / "data").symlink_to(outside)
    refused(folder, "symbolic link")
    assert not (outside / "w.bin").exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"files": 3}', '{"files": ["../x"]}', '{"files": ["/etc/passwd"]}',
     '{"files": [""]}', '{"files": [1]}'],
)  # fmt: skip
def test_damaged_manifests_are_refused_and_remove_nothing(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    design().write(folder)
    (tmp_path / "x").write_text("outside")
    (folder / MANIFEST).write_text(text)
    refused(folder, "manifest")
    assert (tmp_path / "x").exists()


def test_a_pipe_in_a_design_s_place_is_told_and_nothing_changes(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    design().write(folder)
    path = folder / sorted(design().files)[0]
    path.unlink()
    os.mkfifo(path)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="is a named pipe"):
        design().write(folder)
    assert path.is_fifo()
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before


def test_a_folder_without_manifest_is_no_design(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no shiftforge\.json"):
        read_manifest(tmp_path)


SCRIPT = """
import sys
from shiftforge.boards.load import load_board
from shiftforge.generator.conv.target import generate
from shiftforge.quant.graph.example import random_model
generate(random_model(6), load_board("a10gx1150")).write(sys.argv[1])
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    trees = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(folder)], check=True, env=environment, cwd=tmp_path
        )
        trees.append(tree(folder))
    assert trees[0] == trees[1]
    assert {"device/accelerator.cl", "data/weights.bin", "model.safetensors"} < trees[0].keys()
    for path, data in trees[0].items():
        assert str(tmp_path).encode() not in data, f"{path} holds a path of this machine"
