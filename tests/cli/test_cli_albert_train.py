"""train albert and train embeddings: what they pass on, what they print, every bad option."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shiftforge.cli.main import run
from shiftforge.errors import InputError
from shiftforge.quant.text.catalogue import CORPORA
from shiftforge.quant.text.corpus import without_copies
from shiftforge.quant.text.specs import open_corpus

FOUND = {"corpus": "bbc", "fold": 0, "accuracy": [0.5, 0.75], "validation": [0.5, 0.8],
         "tfidf": 0.9}  # fmt: skip
ROWS = [(f"{'rain wind' if i % 2 else 'goal match'} number {i}", "ab"[i % 2]) for i in range(60)]


def problems(capsys: pytest.CaptureFixture[str]) -> str:
    found = json.loads(capsys.readouterr().out)["error"]
    assert all(problem["remedy"] for problem in found)
    return "\n".join(f"{problem['where']} {problem['what']}" for problem in found)


def notes_only(folder: Path) -> Path:
    """As much of a classifier's folder as the command itself looks at."""
    folder.mkdir()
    (folder / "classifier.json").write_text("{}")
    return folder


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small corpus in the place of the articles."""
    found = without_copies("bbc", ROWS)
    monkeypatch.setitem(CORPORA, "bbc", lambda: found)
    return found


@pytest.fixture
def calls(made: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, dict[str, Any]]]:
    """Training, and torch, replaced; what it was called with."""
    found: list[tuple[str, Any, dict[str, Any]]] = []

    def module(name: str, **functions: Any) -> None:
        own = ModuleType(name)
        for what, result in functions.items():
            setattr(own, what, result if isinstance(result, FunctionType) else keep(what, result))
        monkeypatch.setitem(sys.modules, name, own)

    def keep(name: str, result: Any) -> Any:
        def called(*rest: Any, **more: Any) -> Any:
            found.append((name, rest, more))
            return result

        return called

    interval = {"mean": 0.5, "deviation": 0.1, "interval": [0.4, 0.6], "values": [0.4, 0.6]}
    both = {"corpus": "bbc", "folds": [0, 1], "accuracy": [interval], "validation": [interval],
            "tfidf": interval}  # fmt: skip
    module("torch", set_num_threads=lambda count: None)
    module(
        "shiftforge.quant.albert.training.run",
        train_fold=FOUND,
        train_folds=both,
        table_of_fold=lambda table, fold: Path(str(table).replace("{fold}", str(fold))),
        shared_table=None,
    )
    module("shiftforge.quant.albert.compression.compress", compress={**FOUND, "heads_off": [1]})
    module("shiftforge.quant.albert.training.table", build_table=Table())
    return found


@dataclass(frozen=True)
class Table:
    """What a stand-in for the word table's making gives."""

    words: NDArray[np.float32] = field(default_factory=lambda: np.zeros((7, 4), np.float32))

    def notes(self) -> dict[str, object]:
        return {"density": 0.4, "bias": -3, "digest": "abc"}


def test_a_fold(
    calls: list[Any], made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "albert", "--corpus", "bbc", "-o", str(tmp_path / "c"), "--fold", "3",
            "--ffn", "128", "--epochs", "2", "--minutes", "1.5", "--seed", "7"]  # fmt: skip
    assert run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"] == [0.5, 0.75]
    ((name, (corpus, fold, folder, training), more),) = calls
    shape, recipe, origin = training.shape, training.recipe, more["origin"]
    assert (name, corpus, fold, folder) == ("train_fold", made, 3, tmp_path / "c")
    assert (shape.hidden, shape.layers, shape.length, shape.ffn) == (64, 6, 128, 128)
    assert (recipe.epochs, recipe.minutes) == (2, 1.5)
    assert (training.seed, origin.table, origin.network) == (7, None, None)
    assert run(line) == 0
    printed = capsys.readouterr().out
    assert "75.00%" in printed
    assert "TF-IDF" in printed


def test_all_folds(calls: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["train", "albert", "--corpus", "bbc", "-o", str(tmp_path / "c"), "--fold", "all",
            "--table", str(tmp_path / "table-{fold}")]  # fmt: skip
    assert run(line) == 0
    assert "40.00% to 60.00%" in capsys.readouterr().out
    (*tables, (name, _, more)) = calls
    assert (name, list(more["folds"])) == ("train_folds", [0, 1, 2, 3, 4])
    assert more["origin"].table == tmp_path / "table-{fold}"
    # A table a fold, which no held-out text has a part in.
    assert [(rest[1].name, own["fold"]) for _, rest, own in tables] == [
        (f"table-{fold}", fold) for fold in range(5)
    ]


def test_compression(calls: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = notes_only(tmp_path / "teacher")
    line = ["train", "albert", "--from", str(teacher), "-o", str(tmp_path / "c"), "--spans", "1e-4",
            "--prune", "movement", "--sparsity", "0.5", "--distil", "--weights", "af6"]  # fmt: skip
    assert run([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["heads_off"] == [1]
    ((name, (source, folder, options), _),) = calls
    assert (name, source, folder, options.epochs) == ("compress", teacher, tmp_path / "c", 4)
    assert (options.spans, options.prune, options.sparsity) == (1e-4, "movement", 0.5)
    assert (options.distil, options.weights, options.table) == (True, "af6", None)


def test_a_word_table(calls: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["train", "embeddings", "--corpus", "bbc", "-o", str(tmp_path / "t"), "--density", "0.3",
            "--fold", "2"]  # fmt: skip
    assert run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["digest"], told["tokens"], told["bias"]) == ("abc", 7, -3)
    ((_, (_, _, options), more),) = calls
    assert (options.density, more["fold"]) == (0.3, 2)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ([], "nothing to train on"),
        (["--corpus", "news"], "unknown corpus 'news'"),
        (["--corpus", "glue:SST-3:."], "unknown GLUE task"),
        (["--corpus", "glue:SST-2"], "unknown"),
        (["--corpus", "tsv:nowhere.tsv"], "no such file"),
        (["--corpus", "bbc", "--fold", "5"], "fold '5'"),
        (["--corpus", "bbc", "--spans", "1"], "--spans without --from"),
        (["--corpus", "bbc", "--distil"], "--distil without --from"),
        (["--corpus", "bbc", "--hidden", "60"], "4 heads in 60 columns"),
        (["--corpus", "bbc", "--length", "1"], "1 tokens"),
        (["--corpus", "bbc", "--tokeniser", "nowhere"], "no such folder"),
        (["--corpus", "bbc", "--fold", "all", "--table", "t"], "one word table for all folds"),
        (["--corpus", "bbc", "--start", ".", "--tokeniser", "."], "--tokeniser and --start"),
        (["--corpus", "bbc", "--start", ".", "--layers", "2"], "--layers with --start"),
        (["--corpus", "bbc", "--table", ".", "--vocabulary", "9"], "--vocabulary with --table"),
    ],
)
def test_training_that_cannot_be(
    more: list[str],
    what: str,
    calls: list[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "c"
    assert run(["train", "albert", "-o", str(output), *more, "--json"]) == 2
    assert what in problems(capsys)
    assert not calls
    assert not output.exists()


def test_everything_wrong_with_a_compression_at_once(
    calls: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c/mine.txt").write_text("mine")
    line = ["train", "albert", "--from", str(tmp_path / "no"), "-o", str(tmp_path / "c"),
            "--heads", "2", "--sparsity", "0.5", "--ramp", "8", "--weights", "af9"]  # fmt: skip
    assert run([*line, "--json"]) == 2
    told = problems(capsys)
    for what in ("no classifier", "not written by this command", "--heads with --from",
                 "--sparsity without --prune", "--ramp without --spans",
                 "weights 'af9'"):  # fmt: skip
        assert what in told
    assert not calls


def test_a_teacher_is_not_overwritten(
    calls: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = notes_only(tmp_path / "c")
    line = ["train", "albert", "--from", str(teacher), "-o", str(teacher), "--distil", "--json"]
    assert run(line) == 2
    assert "the teacher's own folder" in problems(capsys)


def test_word_tables_that_cannot_be(
    calls: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "embeddings", "--corpus", "bbc", "--corpus", "bbc", "--corpus", "news",
            "--density", "0", "-o", str(tmp_path / "no" / "t"), "--json"]  # fmt: skip
    assert run(line) == 2
    told = problems(capsys)
    for what in ("corpus bbc twice", "unknown corpus 'news'", "density 0", "parent folder"):
        assert what in told


def test_the_other_forms_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train"]) == 2
    assert "Missing option '-o'" in capsys.readouterr().err
    assert run(["train", "-o", str(tmp_path / "t"), "--rate", "1", "--json"]) == 2
    assert "--rate without --network" in problems(capsys)
    assert run(["train", "--help"]) == 0
    told = capsys.readouterr().out
    for form in ("shiftforge train albert", "shiftforge train embeddings", "--network"):
        assert form in told
    assert run(["train", "albert", "--help"]) == 0
    assert "Usage: shiftforge train albert" in capsys.readouterr().out


def test_a_tsv_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv"
    path.write_text("index\ttext\tlabel\n" + "".join(f"{i}\t{t}\t{c}\n" for i, (t, c) in
                                                     enumerate(ROWS)))  # fmt: skip
    found = open_corpus(f"tsv:{path}")
    assert found.texts == tuple(text for text, _ in ROWS)
    assert found.classes == ("a", "b")
    # The name of what it gives loads the same texts.
    assert open_corpus(found.name).texts == found.texts
    path.write_text("text\tclass\nx\ty\n")
    with pytest.raises(InputError, match="a column label"):
        open_corpus(f"tsv:{path}")


@pytest.mark.slow
def test_train_compress_and_quantize(
    made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = tmp_path / "c"
    sizes = ["--hidden", "32", "--heads", "2", "--ffn", "32", "--layers", "2", "--embedding", "16",
             "--length", "12", "--vocabulary", "80", "--epochs", "3"]  # fmt: skip
    assert run(["train", "albert", "--corpus", "bbc", "-o", str(classifier), *sizes]) == 0
    small = tmp_path / "small"
    assert run(["train", "albert", "--from", str(classifier), "-o", str(small), "--prune",
                "magnitude", "--epochs", "1", "--weights", "shift1"]) == 0  # fmt: skip
    output = tmp_path / "n.safetensors"
    capsys.readouterr()
    assert run(["quantize", str(small), "-o", str(output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["weights"] == "shift1"
    assert told["encoder_density"] < 0.6
