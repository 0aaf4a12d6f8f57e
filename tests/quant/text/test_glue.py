"""The layout of GLUE's tasks, on generated files: whole ones and broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shiftforge.errors import InputError
from shiftforge.quant.albert.training.texts import chosen_fold, validation_part
from shiftforge.quant.text.catalogue import load_corpus
from shiftforge.quant.text.glue import TASKS, load_glue
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, train_wordpiece

HEADERS = {
    "SST-2": "sentence\tlabel",
    "MRPC": "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "QNLI": "index\tquestion\tsentence\tlabel",
    "QQP": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
    "RTE": "index\tsentence1\tsentence2\tlabel",
    "WNLI": "index\tsentence1\tsentence2\tlabel",
    "MNLI": "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label",
}
PAIRS = {"MRPC", "QNLI", "QQP", "RTE", "WNLI", "MNLI"}
LABELS = {"QNLI": ("entailment", "not_entailment"), "RTE": ("entailment", "not_entailment")}
LABELS |= {"MNLI": ("contradiction", "entailment", "neutral")}
FIRST = {"sentence", "#1 String", "question", "question1", "sentence1"}
SECOND = {"#2 String", "question2", "sentence2"}
GIVEN = {"label", "Quality", "is_duplicate", "gold_label"}


def classes_of(task: str) -> tuple[str, ...]:
    return LABELS.get(task, ("0", "1"))


def line(task: str, i: int, first: str, second: str, label: str) -> str:
    if task == "CoLA":
        return f"gj04\t{label}\t\t{first}"
    second_too = SECOND | ({"sentence"} if task == "QNLI" else set())
    cells = []
    for name in HEADERS[task].lstrip("\ufeff").split("\t"):
        if name in second_too:
            cells.append(second)
        elif name in FIRST:
            cells.append(first)
        else:
            # A label of one annotator stands beside the one that counts.
            cells.append(label if name in GIVEN else f"{name} {i}")
    return "\t".join(cells)


def write(folder: Path, task: str, train: int = 12, dev: int = 5) -> None:
    for name, count in (("train.tsv", train), (TASKS[task].dev, dev)):
        lines = [HEADERS[task]] if task in HEADERS else []
        for i in range(count):
            label = classes_of(task)[i % len(classes_of(task))]
            lines.append(line(task, i, f'first "{i}\u2028', f"second {i % 3}", label))
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_with_its_split(task: str, tmp_path: Path) -> None:
    write(tmp_path, task)
    corpus = load_corpus(f"glue:{task}:{tmp_path}")
    assert corpus.name == f"glue:{task}:{tmp_path}"
    assert corpus.classes == classes_of(task)
    assert corpus.texts[1] == ('first "1 [SEP] second 1' if task in PAIRS else 'first "1')
    assert corpus.labels[:12].tolist() == [i % len(corpus.classes) for i in range(12)]
    fold = chosen_fold(corpus, 0)
    assert fold.train.tolist() == list(range(12)) and fold.held_out.tolist() == list(range(12, 17))
    trains, validates = validation_part(fold, corpus.labels)
    assert len(validates) == len(corpus.classes)
    assert sorted([*trains, *validates]) == list(range(12))
    with pytest.raises(InputError, match="a split of its own"):
        chosen_fold(corpus, 1)


def test_a_pair_is_divided_by_one_token(tmp_path: Path) -> None:
    write(tmp_path, "RTE")
    corpus = load_glue(tmp_path, "RTE")
    made = train_wordpiece(corpus.texts, 200)
    (ids,) = encode(made, corpus.texts[:1])
    assert np.flatnonzero(ids == 3).tolist() == [4, len(ids) - 1]
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nfirst\nsecond\n")
    (ids,) = encode(load_tokeniser(tmp_path), ["first [SEP] second"])
    assert ids.tolist() == [2, 4, 3, 5, 3]


def test_everything_that_is_wrong_with_both_files(tmp_path: Path) -> None:
    write(tmp_path, "SST-2")
    (tmp_path / "train.tsv").write_text("text\tlabel\na\t0\n")
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\n")
    with pytest.raises(InputError) as caught:
        load_glue(tmp_path, "SST-2")
    assert [p.what for p in caught.value.problems] == [
        "no column sentence among text, label",
        "no lines",
    ]
    assert [Path(p.where).name for p in caught.value.problems] == ["train.tsv", "dev.tsv"]


def test_broken_files(tmp_path: Path) -> None:
    write(tmp_path, "SST-2")
    dev = tmp_path / "dev.tsv"
    dev.write_text("sentence\tlabel\ngood\t1\nodd\tpositive\n")
    with pytest.raises(InputError, match=r"labels positive that train\.tsv does not have"):
        load_glue(tmp_path, "SST-2")
    dev.write_bytes("sentence\tlabel\ncaf\u00e9\t1\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 text: byte 18"):
        load_glue(tmp_path, "SST-2")
    dev.write_text("sentence\tlabel\ngood\t1\ncut\n")
    with pytest.raises(
        InputError, match="1 of 2 lines have fewer than 2 columns, the first is line"
    ):
        load_glue(tmp_path, "SST-2")
    dev.unlink()
    with pytest.raises(InputError, match="no such file"):
        load_glue(tmp_path, "SST-2")
    write(tmp_path, "SST-2", train=1)
    with pytest.raises(InputError, match="one label only"):
        load_glue(tmp_path, "SST-2")
    with pytest.raises(InputError, match="unknown GLUE task 'STS-B'"):
        load_corpus(f"glue:STS-B:{tmp_path}")


def test_a_table_of_one_class(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv"
    path.write_text("text\tlabel\none\ta\ntwo\ta\n")
    with pytest.raises(InputError, match="texts of 1 class, 0 of 2 lines left out"):
        load_corpus(f"tsv:{path}:text:label")


def test_few_broken_lines_of_qqp_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "QQP", train=2000)
    path = tmp_path / "train.tsv"
    path.write_text(path.read_text() + "7\t8\t9\n")
    corpus = load_glue(tmp_path, "QQP")
    assert corpus.dropped == 1 and len(chosen_fold(corpus, 0).train) == 2000
    path.write_text(path.read_text() + "7\t8\t9\n" * 5)
    with pytest.raises(InputError, match="6 of 2006 lines"):
        load_glue(tmp_path, "QQP")
