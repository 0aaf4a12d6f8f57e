"""Generated projects of text classifiers, for tests of several commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from albert_projects import make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("albert") / "tiny")


@pytest.fixture(scope="module")
def spanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of its heads is off."""
    return make_project(tmp_path_factory.mktemp("albert") / "spanned", optimised=True)
