"""Records of runs: kept whole, read by key, and not used where they are no longer current."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Records of runs that are numbers; current where they hold version 2."""
    monkeypatch.syspath_prepend(str(ROOT))
    made = import_module("bench.common.records")
    return made.Records(
        tmp_path / "kept", lambda run: f"run-{run}", lambda run, found, path: found["version"] == 2
    )


def test_a_broken_off_study_goes_on(records: Any) -> None:
    assert records.pending([1, 2, 3]) == [1, 2, 3]
    records.write(2, {"version": 2, "accuracy": 0.5})
    records.write(3, {"version": 1})
    assert records.pending([1, 2, 3]) == [1, 3]
    assert records.read(2) == {"version": 2, "accuracy": 0.5}
    assert sorted(path.name for path in records.folder.iterdir()) == ["run-2.json", "run-3.json"]


def test_what_cannot_be_read_is_done_again(records: Any) -> None:
    records.write(1, {"version": 2})
    records.path(1).write_text('{"version": 2')
    assert records.read(1) is None and records.pending([1]) == [1]


def test_a_write_that_fails_leaves_the_record(records: Any) -> None:
    records.write(1, {"version": 2})
    with pytest.raises(TypeError):
        records.write(1, {"version": object()})
    assert records.read(1) == {"version": 2}
