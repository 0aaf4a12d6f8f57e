"""The study of schemes: records that are kept, choices by validation, tables."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def modules() -> Any:
    """bench's own modules, which are not installed."""
    sys.path.insert(0, str(ROOT))
    try:
        from bench.schemes import report, runs, settings, study
    finally:
        sys.path.remove(str(ROOT))
    return study, settings, runs, report


@pytest.fixture(scope="module")
def tiny(modules: Any) -> Any:
    _, settings, _, _ = modules
    digits = settings.STUDIES["digits"]
    short = replace(digits.tune, epochs=1, freeze_epochs=0)
    return replace(
        digits, images=240, validation=80, tune_images=128, start=replace(digits.start, epochs=2),
        tune=short, choose=short, rates=(0.01, 0.02), seeds=(1, 2),
    )  # fmt: skip


@pytest.mark.slow
def test_a_study_is_finished_once(
    modules: Any, tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, settings, runs, report = modules
    folders = runs.Folders(tmp_path / "results", tmp_path / "work")
    table = [row for row in settings.rows() if row.label in ("float", "DTSSQ 25%")]
    starts = [runs.Job(tiny, None, seed) for seed in (tiny.choose_seed, *tiny.seeds)]
    trials = [
        runs.Job(tiny, row, tiny.choose_seed, rate, trial=True)
        for row in table
        for rate in tiny.rates
    ]
    for job in (*starts, *trials):
        assert runs.pending([job], folders) == [job]
        runs.run_job(job, folders)
    jobs = study.final_jobs(tiny, table, folders)
    assert all(job.rate in tiny.rates for job in jobs) and len(jobs) == 4
    first = runs.run_job(jobs[0], folders)
    # Broken off after one run: the others are still to do, and a record is the run's own.
    assert runs.pending([*starts, *trials, *jobs], folders) == jobs[1:]
    assert runs.record(jobs[0], folders)["test"] == first["test"]
    again = runs.run_job(jobs[0], folders)
    assert again["test"] == first["test"] and again["validation"] == first["validation"]
    for job in jobs[1:]:
        runs.run_job(job, folders)
    # Other settings ask for another run.
    other = replace(tiny, tune=replace(tiny.tune, epochs=2))
    moved = [replace(job, study=other) for job in jobs]
    assert runs.pending(moved, folders) == moved
    summary = report.summarise(tiny, jobs, folders)
    assert [entry["label"] for entry in summary] == ["float", "DTSSQ 25%"]
    assert summary[0]["over"] == 0 and summary[1]["seeds"] == [1, 2]
    assert 5.5 < summary[1]["bits"] < 6.5 and 1 < summary[1]["adds"] < 1.5
    report.print_summary(tiny, summary, ablation=False)
    printed = capsys.readouterr().out
    assert "| DTSSQ 25% |" in printed and "±" in printed


def test_divergence_is_a_result(modules: Any, tiny: Any, tmp_path: Path) -> None:
    _, settings, runs, _ = modules
    folders = runs.Folders(tmp_path / "results", tmp_path / "work")
    runs.run_job(runs.Job(tiny, None, 1), folders)
    row = settings.rows()[0]
    found = runs.run_job(runs.Job(tiny, row, 1, 1e30), folders)
    assert found["diverged"] and found["test"] == 0.0


def test_the_best_validation_accuracy_chooses(modules: Any, tiny: Any, tmp_path: Path) -> None:
    import json

    _, settings, runs, _ = modules
    folders = runs.Folders(tmp_path, tmp_path)
    row = settings.rows()[0]
    for rate, reached in ((0.01, 0.9), (0.02, 0.95)):
        job = runs.Job(tiny, row, tiny.choose_seed, rate, trial=True)
        held = {"facts": job.facts(), "validation": reached, "test": 1 - reached}
        (tmp_path / f"{job.name}.json").write_text(json.dumps(held))
    assert runs.choice(tiny, row, folders) == 0.02
    with pytest.raises(SystemExit, match="no learning rate"):
        runs.choice(replace(tiny, images=100), row, folders)


def test_rows_have_names_of_their_own(modules: Any) -> None:
    study, settings, runs, _ = modules
    every = [*settings.rows(), *settings.ablation_rows()]
    labels = [row.label for row in every]
    assert len(set(labels)) == len(labels)
    assert {row.rate_of for row in every} - {""} <= {row.label for row in settings.rows()}
    names = {runs.Job(settings.STUDIES["digits"], row, 1, 0.1).name for row in every}
    assert len(names) == len(every)
    with pytest.raises(SystemExit, match="INT3"):
        study.wanted(settings.rows(), "INT3, float")
