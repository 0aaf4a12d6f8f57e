"""A text classifier's project has no simulated time."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftforge.cli.main import run


@pytest.mark.parametrize("options", [["--clocked"], ["--clocked", "--timeline", "t.json"]])
def test_it_is_refused(
    options: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["emulate", str(project), *options]) == 2
    told = capsys.readouterr().err
    for option in (name for name in options if name.startswith("--")):
        assert f"{option} is for convolutional" in told or f"{option} is for conv" in told
    assert "leave it out" in told
