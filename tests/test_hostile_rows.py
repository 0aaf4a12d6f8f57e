"""The table of hostile inputs: every kind has tests, and every test that it names is there."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KINDS = {str(number) for number in range(1, 23)}


def _table(text: str) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = tomllib.loads(text)["rows"]
    return rows


def faults(rows: dict[str, list[str]], root: Path) -> list[str]:
    """Kinds without a test, other kinds, and tests that are not there or are named twice."""
    found = [f"no test of kind {kind}" for kind in sorted(KINDS - set(rows), key=int)]
    found += [f"no such kind: {kind}" for kind in sorted(set(rows) - KINDS)]
    for kind, names in rows.items():
        if len(set(names)) < len(names) or not names:
            found.append(f"kind {kind} names a test twice, or none")
        for name in names:
            path, _, test = name.partition("::")
            if not (root / path).is_file():
                found.append(f"kind {kind}: no file {path}")
                continue
            tree = ast.parse((root / path).read_text(encoding="utf-8"))
            own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            if test.partition("[")[0].rpartition("::")[2] not in own:
                found.append(f"kind {kind}: no test {name}")
    return found


def test_every_kind_has_tests_and_every_test_is_there() -> None:
    text = (ROOT / "tests/hostile_rows.toml").read_text(encoding="utf-8")
    assert faults(_table(text), ROOT) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [({"3": []}, "names a test twice, or none"), ({"23": ["x"]}, "no such kind"),
     ({"3": ["tests/none.py::test_x"]}, "no file"),
     ({"3": ["tests/test_hostile_rows.py::test_none"]}, "no test tests/")],
)  # fmt: skip
def test_faults_of_the_table_are_seen(change: dict[str, list[str]], words: str) -> None:
    good = {kind: ["tests/test_hostile_rows.py::faults"] for kind in KINDS}
    assert faults(good, ROOT) == []
    assert words in "\n".join(faults({**good, **change}, ROOT))
    assert "no test of kind 3" in faults({k: v for k, v in good.items() if k != "3"}, ROOT)
