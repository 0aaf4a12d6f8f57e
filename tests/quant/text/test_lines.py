"""Texts one a line: numbers of lines, and what is no text."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from albert_projects import save_network

from shiftforge.errors import InputError
from shiftforge.quant.albert.network.file import load_package
from shiftforge.quant.text import lines
from shiftforge.quant.text.inputs import load_texts, own_count, source_problems
from shiftforge.quant.text.lines import cut_note, read_lines
from shiftforge.quant.text.specs import open_corpus


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    # Neither a form feed nor a line separator ends a line.
    path.write_bytes("\ufeffone\r\n\r\ntwo\u2028half\n \t\nthree\x0cmore\rfour\n".encode())
    found = read_lines(str(path))
    assert [(line.number, line.text) for line in found.found] == [
        (1, "one"), (3, "two\u2028half"), (5, "three\x0cmore"), (6, "four"),
    ]  # fmt: skip
    assert found.note() == "lines 2, 4 are blank: left out"
    package = load_package(save_network(tmp_path / "n.safetensors"))
    texts = load_texts(str(path), package, 3)
    assert texts.lines == (1, 3, 5) and "lines 2, 4 are blank" in texts.notes[0]


def test_what_is_said_of_cut_texts() -> None:
    whole = [np.arange(5), np.arange(12), np.arange(30)]
    assert cut_note(whole, 30) == ""
    assert cut_note(whole, 10) == (
        "2 of 3 texts are longer than 10 tokens: of them the first 9 tokens and the last, [SEP], "
        "are taken (the longest has 30)"
    )


def test_a_number_in_the_input() -> None:
    assert own_count("bbc:held-out:60") == 60
    assert [own_count(s) for s in ("held-out", "random:3", "a.txt", "held-out:x")] == [None] * 4


@pytest.mark.parametrize(
    "source",
    ["random:" + "9" * 5000, "held-out:" + "9" * 5000, "random:-1", "a\0b", "x" * 5000],
    ids=["seed", "count", "below", "NUL", "long"],
)
def test_inputs_of_no_form(source: str) -> None:
    assert source_problems(source)


def test_more_random_sentences_than_fit(tmp_path: Path) -> None:
    package = load_package(save_network(tmp_path / "n.safetensors"))
    with pytest.raises(InputError, match="at most 10,000"):
        load_texts("random:0", package, 10**12)


def test_folders_pipes_and_bytes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    (tmp_path / "blank").write_text("\n \n")
    started = time.monotonic()
    for name, what in ((".", "is a folder"), ("pipe", "is a named pipe"), ("latin", "not UTF-8"),
                       ("blank", "no sentences"), ("none", "no such")):  # fmt: skip
        with pytest.raises(InputError, match=what):
            read_lines(str(tmp_path / name))
        with pytest.raises(InputError):
            open_corpus(f"tsv:{tmp_path / name}")
    assert time.monotonic() - started < 2


def test_texts_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.txt"
    with path.open("wb") as stream:
        stream.truncate(500 << 20)  # a sparse file of one line
    with pytest.raises(InputError, match="at most 67,108,864 are read"):
        read_lines(str(path))
    path.write_text("short\n" + "x " * 600_000)
    with pytest.raises(InputError, match=r"long\.txt: line 2: a text of 1,199,999 characters"):
        read_lines(str(path))
    (tmp_path / "t.tsv").write_text("text\tlabel\n" + "x" * 1_200_000 + "\ta\n")
    with pytest.raises(InputError, match="a line of 1,200,002 characters"):
        open_corpus(f"tsv:{tmp_path / 't.tsv'}")
    monkeypatch.setattr(lines, "MOST", 10)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x" * 11)))
    with pytest.raises(InputError, match="longer than 10 bytes"):
        read_lines("-")


def test_standard_input_that_is_closed_or_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input: is closed"):
        read_lines("-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n")))
    with pytest.raises(InputError, match="not UTF-8"):
        read_lines("-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Käse\n\nb".encode())))
    assert [line.number for line in read_lines("-").found] == [1, 3]
