"""Which cases of a long list ``make test`` runs, and which only ``make test-all``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def thinned(cases: Iterable[Any], every: int) -> list[Any]:
    """The cases as parameters: the first of every so many is for each run, the others are slow.

    Marks that a case has stay.
    """
    found = []
    for number, case in enumerate(cases):
        marks = [] if number % every == 0 else [pytest.mark.slow]
        if isinstance(case, type(pytest.param())):
            found.append(pytest.param(*case.values, marks=[*case.marks, *marks], id=case.id))
        else:
            values = case if isinstance(case, tuple) else (case,)
            found.append(pytest.param(*values, marks=marks))
    return found
