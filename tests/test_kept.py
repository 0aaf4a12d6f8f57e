"""What is kept between runs: whole or not at all, bounded, and never needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shiftforge import kept
from shiftforge.errors import InputError
from shiftforge.kept import KINDS, Kept, Store, cache_place, clear, digest, forget_old, held

STORE = Store("programs")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(kept.OFF, raising=False)


def test_what_was_kept_comes_back() -> None:
    assert STORE.read("a") is None
    STORE.write("a", b"some bytes")
    assert STORE.read("a") == b"some bytes"
    STORE.drop("a")
    assert STORE.read("a") is None


@pytest.mark.parametrize("damaged", [b"", b"short", b"\0" * 40])
def test_what_is_damaged_is_forgotten(damaged: bytes) -> None:
    STORE.write("a", b"some bytes")
    (cache_place("programs") / "a").write_bytes(damaged)
    assert STORE.read("a") is None
    assert not (cache_place("programs") / "a").exists()


def test_one_flipped_bit_is_damage() -> None:
    STORE.write("a", b"some bytes")
    path = cache_place("programs") / "a"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert STORE.read("a") is None


def test_digests_tell_where_a_part_ends() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"]) != digest(["abc"])
    assert digest([b"ab"]) == digest(["ab"])


@pytest.mark.parametrize("off", ["all", "programs", "designs, programs"])
def test_it_can_be_switched_off(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    STORE.write("a", b"some bytes")
    monkeypatch.setenv(kept.OFF, off)
    assert STORE.read("a") is None
    STORE.write("b", b"more")
    monkeypatch.setenv(kept.OFF, "rtl")
    assert STORE.read("a") == b"some bytes" and STORE.read("b") is None


def test_a_folder_that_cannot_be_made_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    STORE.write("a", b"some bytes")
    assert STORE.read("a") is None and not sum(own.entries for own in held())
    with pytest.raises(InputError, match="Not a directory"):
        Kept(cache_place("route"), "a").write({})


def test_what_was_used_longest_ago_goes_first() -> None:
    place = cache_place("programs")
    for n, name in enumerate("abc"):
        STORE.write(name, bytes(100))
        os.utime(place / name, (n, n))
    STORE.read("a")
    forget_old(place, 300)
    assert sorted(path.name for path in place.iterdir()) == ["a", "c"]


def test_a_store_forgets_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "programs", kept._Kind("small", 1000))
    for n in range(9):
        STORE.write(str(n), bytes(200))
    (own,) = (own for own in held() if own.kind == "programs")
    assert 0 < own.entries < 9 and own.size <= 1000
    STORE.write("large", bytes(500))
    assert STORE.read("large") is None


def test_all_or_one_kind_is_cleared() -> None:
    STORE.write("a", b"some bytes")
    Kept(cache_place("route"), "a").write({"x": 1})
    folder = cache_place("rtl") / "model"
    folder.mkdir(parents=True)
    (folder / "model").write_bytes(bytes(50))
    found = {own.kind: own for own in held()}
    assert found["rtl"].entries == found["programs"].entries == found["route"].entries == 1
    assert found["rtl"].size >= 50
    assert clear(["programs"]) == found["programs"].size
    assert {own.kind for own in held() if own.entries} == {"rtl", "route"}
    clear(KINDS)
    assert not any(own.entries for own in held())
