"""Reading refuses what is no regular file; writing is whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path

import pytest

from shiftforge.atomic import clear_leftovers, is_leftover, replacing, write_file
from shiftforge.errors import InputError
from shiftforge.files import (
    check_output_folder,
    output_problems,
    read_bytes,
    read_text,
)
from shiftforge.jsontext import parse_json, read_json

PART = ".model.bin.abcd1234.shiftforge-part"


def _problem(error: pytest.ExceptionInfo[InputError]) -> str:
    (problem,) = error.value.problems
    assert problem.remedy
    return str(problem)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError) as error:
        read_bytes(tmp_path / "pipe")
    assert "is a named pipe" in _problem(error)


def test_folders_sockets_devices_and_nothing_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        for path, word in (
            (tmp_path, "is a folder"),
            (tmp_path / "socket", "socket"),
            (Path("/dev/zero"), "is a device"),
            (tmp_path / "none", "no such file"),
            (tmp_path / "a\0b", "no file can have this name"),
            (tmp_path / ("x" * 300), "File name too long"),
        ):
            with pytest.raises(InputError) as error:
                read_bytes(path)
            assert word in _problem(error)


def test_a_long_file_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InputError) as error:
        read_bytes(tmp_path / "big", most=1 << 20)
    assert "1,099,511,627,776 bytes" in _problem(error)


def test_a_file_that_claims_to_be_empty_is_read_and_bounded() -> None:
    assert read_bytes("/proc/self/status").startswith(b"Name:")
    with pytest.raises(InputError):
        read_bytes("/proc/self/status", most=10)


def test_text_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"ab\xff")
    with pytest.raises(InputError) as error:
        read_text(tmp_path / "t")
    assert "byte 2 is 0xFF" in _problem(error)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[" * 100_000, "levels deep"),
        ("[" * 300 + "]" * 300, "levels deep"),
        ('{"a":' * 100_000, "levels deep"),
        ("9" * 5000, "valid JSON"),
        ("Infinity", "is no number"),
        ("[NaN]", "is no number"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("{", "valid JSON"),
        ("", "valid JSON"),
    ],
)
def test_json_that_no_reader_should_see(text: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_json(tmp_path / "f.json")
    assert word in _problem(error)
    assert parse_json('{"a": [1, {"b": 2}]}', "x") == {"a": [1, {"b": 2}]}


def test_writing_follows_no_link_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "model.bin").symlink_to(tmp_path / "victim")
    write_file(tmp_path / "model.bin", b"new")
    assert (tmp_path / "victim").read_text() == "kept"
    assert (tmp_path / "model.bin").read_bytes() == b"new"
    assert not (tmp_path / "model.bin").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.bin", "victim"]


def test_a_device_a_pipe_and_a_socket_keep_their_places(tmp_path: Path) -> None:
    """A rename would put a file in the place of /dev/null, for everybody on the machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    # Never the device itself: a test that fails would take it away.
    (tmp_path / "device").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        held = {p.name: p.lstat() for p in tmp_path.iterdir()}
        for name, word in (
            ("pipe", "a named pipe"),
            ("link", "a named pipe"),
            ("device", "a device"),
            ("socket", "a socket"),
        ):
            with pytest.raises(InputError) as error:
                write_file(tmp_path / name, b"new")
            assert f"is {word}" in _problem(error)
        assert {p.name: p.lstat() for p in tmp_path.iterdir()} == held


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_file(tmp_path / "f", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "f") as part:
        part.write_bytes(b"half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "old"


def test_a_full_disk_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error, replacing(tmp_path / "f"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "No space left" in _problem(error)
    assert list(tmp_path.iterdir()) == []


def test_the_next_write_clears_what_a_kill_left(tmp_path: Path) -> None:
    (tmp_path / PART).write_bytes(b"half")
    (tmp_path / ".other.abcd1234.shiftforge-part").write_bytes(b"half")
    write_file(tmp_path / "model.bin", b"new")
    assert not (tmp_path / PART).exists()
    assert (tmp_path / ".other.abcd1234.shiftforge-part").exists()
    clear_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


def test_what_another_process_writes_is_left(tmp_path: Path) -> None:
    with (tmp_path / PART).open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        clear_leftovers(tmp_path)
        assert (tmp_path / PART).exists()
    clear_leftovers(tmp_path)
    assert not (tmp_path / PART).exists()


def test_a_link_with_a_leftovers_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / PART).symlink_to(tmp_path / "victim")
    clear_leftovers(tmp_path)
    assert (tmp_path / "victim").read_text() == "kept"
    assert is_leftover(PART) and not is_leftover("model.bin.part")


def test_the_longest_name_can_be_written_and_no_longer_one(tmp_path: Path) -> None:
    for name in ("n" * 255, "é" * 127):
        write_file(tmp_path / name, b"x")
        assert output_problems(tmp_path / name) == []
    assert "name too long" in str(output_problems(tmp_path / ("n" * 256))[0])


def test_output_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    for path in (
        "/",
        tmp_path,
        tmp_path / "no/f",
        tmp_path / "file/f",
        tmp_path / "pipe",
        "/proc/f",
    ):
        (problem,) = output_problems(path)
        assert problem.remedy, path
    assert "is a named pipe" in str(output_problems(tmp_path / "pipe")[0])
    for path in (tmp_path / "file", tmp_path / "no/f", tmp_path / "file/f", "/proc/f"):
        with pytest.raises(InputError):
            check_output_folder(path)
    check_output_folder(tmp_path)
    check_output_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists()
