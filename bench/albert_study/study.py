"""ALBERT with the paper's optimisations, each alone and all together, on one fold of a corpus.

Trains what is not there yet and keeps a record of every finished job, so that a run that was broken
off goes on. ``--report`` makes table and pictures of the records.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

import click
import torch

from bench.albert_study.output import write_report
from bench.albert_study.runs import TEACHER, Bench
from bench.albert_study.settings import STUDIES
from bench.common.machine import RESULTS
from shiftforge.errors import InputError


@click.command()
@click.option("--corpus", type=click.Choice(sorted(STUDIES)), default="bbc", show_default=True)
@click.option("--fold", type=click.IntRange(0, 4), default=0, show_default=True)
@click.option("--group", "groups", multiple=True, help="Of jobs, such as spans; all without.")
@click.option(
    "--work", type=click.Path(path_type=Path), default=Path("build/albert"), show_default=True
)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS / "albert")
@click.option("--report", is_flag=True, help="Table and pictures of the records there are.")
@click.option(
    "--sentences", default=8, show_default=True, help="On the RTL, for the report's costs."
)
def main(
    corpus: str, fold: int, groups: tuple[str, ...], work: Path, results: Path, report: bool,
    sentences: int,
) -> None:  # fmt: skip
    """Train and measure the jobs that have no record yet."""
    torch.set_num_threads(1)
    bench = Bench(STUDIES[corpus], fold, work / corpus, results / corpus)
    try:
        if report:
            write_report(bench, sentences)
            return
        for job in (TEACHER, *bench.study.jobs):
            if job is not TEACHER and groups and job.group not in groups:
                continue
            if bench.record(job) is None:
                print(f"{corpus}: {job.name}", flush=True)
                bench.run(job)
            found = bench.record(job)
            assert found is not None
            accuracy = found["held_out"]["accuracy"]
            print(f"{corpus}: {job.name}: {' '.join(f'{a:.4f}' for a in accuracy)}", flush=True)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
