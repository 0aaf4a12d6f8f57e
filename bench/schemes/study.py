"""DTSSQ against its rivals: one command trains every row of the table and draws it.

Run:  python bench/schemes/study.py [--data fashion|digits] [--ablation] [--jobs N]
          [--rows LABEL,...]
      python bench/schemes/study.py --data cifar10|cifar100 --folder DIR --jobs 1

Every row of a seed starts from the same float network and trains for the same epochs on the same
images; float goes on training too. Learning rates are chosen row by row on validation images held
out of the training split, with a seed that is none of the table's; the test images are looked at
once a finished run and decide nothing. Records are kept (bench/results/study), so that a study that
was broken off goes on where it stopped; the float networks lie in build/study.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import BENCH, RESULTS
from bench.common.records import write_json
from bench.schemes import report, runs
from bench.schemes.runs import Folders, Job
from bench.schemes.settings import STUDIES, Row, Study, ablation_rows, rows


def run_all(jobs: list[Job], folders: Folders, processes: int, stage: str) -> None:
    """Run what has no record yet, with a line a finished run and the time left."""
    waiting = runs.pending(jobs, folders)
    if not waiting:
        return
    began = time.monotonic()
    print(f"{stage}: {len(waiting)} of {len(jobs)} runs to do", file=sys.stderr, flush=True)

    def tell(done: int, job: Job, validation: float) -> None:
        left = (time.monotonic() - began) / done * (len(waiting) - done)
        text = f"  {job.name}: validation {validation:.2%}; about {left / 60:.0f} min left"
        print(text, file=sys.stderr, flush=True)

    if processes == 1:
        runs.begin_worker()
        for done, job in enumerate(waiting, 1):
            tell(done, job, runs.run_job(job, folders)["validation"])
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=runs.begin_worker) as pool:
        futures = {pool.submit(runs.run_job, job, folders): job for job in waiting}
        for done, future in enumerate(as_completed(futures), 1):
            tell(done, futures[future], future.result()["validation"])


def final_jobs(study: Study, table: list[Row], folders: Folders) -> list[Job]:
    """One run a row and seed, at the row's chosen rate; seed by seed, so that a part is a table."""
    by_label = {row.label: row for row in (*rows(), *table)}
    rates = {
        row.label: runs.choice(study, by_label[row.rate_of or row.label], folders) for row in table
    }
    return [Job(study, row, seed, rates[row.label]) for seed in study.seeds for row in table]


def wanted(table: list[Row], labels: str | None) -> list[Row]:
    """The rows that ``--rows`` names; all of them without it."""
    if labels is None:
        return table
    names = [name.strip() for name in labels.split(",")]
    unknown = sorted(set(names) - {row.label for row in table})
    if unknown:
        known = ", ".join(row.label for row in table)
        raise SystemExit(f"no such rows: {', '.join(unknown)}\nrows: {known}")
    return [row for row in table if row.label in names]


def main() -> None:
    """Train what is missing, then print the table and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", choices=sorted(STUDIES), default="fashion")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="of the CIFAR binary files")
    parser.add_argument("--ablation", action="store_true", help="DTSSQ with one thing changed")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rows", metavar="LABEL,...", help="these rows alone")
    parser.add_argument("--results", type=Path, default=RESULTS / "study")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table's figures")
    arguments = parser.parse_args()
    study = STUDIES[arguments.data]
    if arguments.folder is not None:
        study = replace(study, data=f"{study.data}:{arguments.folder}")
    folders = Folders(arguments.results / study.name, BENCH.parent / "build" / "study")
    table = wanted(ablation_rows() if arguments.ablation else rows(), arguments.rows)
    choosing = [row for row in rows() if row.label in {r.rate_of or r.label for r in table}]

    everything: Callable[[list[Job], str], None] = lambda jobs, stage: run_all(  # noqa: E731
        jobs, folders, arguments.jobs, stage
    )
    seeds = (study.choose_seed, *study.seeds)
    everything([Job(study, None, seed) for seed in seeds], "float networks")
    everything(
        [
            Job(study, row, study.choose_seed, rate, trial=True)
            for row in choosing
            for rate in study.rates
        ],
        "choice of learning rates",
    )
    jobs = final_jobs(study, table, folders)
    everything(jobs, "training")
    if arguments.ablation:
        base = [row for row in rows() if row.label == "DTSSQ 25%"]
        jobs = final_jobs(study, base, folders) + jobs
        everything(jobs, "the row that is changed")
    summary = report.summarise(study, jobs, folders)
    report.print_summary(study, summary, ablation=arguments.ablation)
    gaps = report.paired(jobs, folders)
    report.print_paired(gaps)
    name = f"{study.name}_ablation" if arguments.ablation else study.name
    if not arguments.ablation:
        from bench.schemes import plots

        plots.draw(study, summary, arguments.results / f"{name}.png")
    target = arguments.json or arguments.results / f"{name}.json"
    write_json(target, {"rows": summary, "paired": gaps})


if __name__ == "__main__":
    main()
