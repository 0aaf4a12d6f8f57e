"""``shiftforge train embeddings``: the frozen word table that several tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftforge.cli.output import note, print_json, print_table
from shiftforge.cli.train_text_options import EmbeddingsOptions, folder_problems, number_problems
from shiftforge.errors import Problem, Problems, collect
from shiftforge.quant.text.specs import open_corpus

if TYPE_CHECKING:
    from shiftforge.quant.text.corpus import Corpus

__all__ = ["make_table"]

_TABLE = "table.json"


def make_table(given: EmbeddingsOptions, as_json: bool) -> None:
    """Make the table, write its folder and print what is in it.

    Raises InputError with everything that is wrong with the options, the corpora and the folder.
    """
    problems = Problems(folder_problems(given.output, _TABLE, "bias", "digest", "corpora"))
    problems += number_problems(given.seed, given.threads)
    for name, value, most in (
        ("vocabulary", given.vocabulary, 1 << 20), ("columns", given.columns, 1 << 14),
    ):  # fmt: skip
        if value > most:
            problems.append(Problem(f"--{name} {value}", f"give at most {most:,}"))
    if not 0 < given.density <= 1:
        what = f"density {given.density:g}"
        problems.append(Problem(what, "give more than 0, at most 1", "--density"))
    for name in dict.fromkeys(c for c in given.corpora if given.corpora.count(c) > 1):
        problems.append(Problem(f"corpus {name} twice", "name it once", "--corpus"))
    corpora: list[Corpus] = []
    for spec in dict.fromkeys(given.corpora):
        with collect(problems):
            corpora.append(open_corpus(spec))
    problems.stop()
    import torch

    from shiftforge.quant.albert.training.settings import TableOptions
    from shiftforge.quant.albert.training.table import build_table

    torch.set_num_threads(given.threads)
    table = build_table(
        corpora,
        given.output,
        TableOptions(given.vocabulary, given.columns, given.density),
        fold=given.fold,
        seed=given.seed,
        say=note,
    )
    report = {
        "output": given.output,
        "corpora": list(given.corpora),
        "fold": given.fold,
        "tokens": len(table.words),
        "columns": table.words.shape[1],
        **table.notes(),
    }
    if as_json:
        print_json(report)
        return
    rows = [(name, value if isinstance(value, str) else str(value))
            for name, value in report.items()]  # fmt: skip
    print_table("", ("", "word table"), rows)
