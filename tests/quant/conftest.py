"""Tests of ALBERT run torch on one thread: their tensors are small, and threads that wait for each
other take all processors where other tests run at the same time."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _one_thread_for_albert(request: pytest.FixtureRequest) -> Iterator[None]:
    torch = sys.modules.get("torch")
    if torch is None or not request.module.__name__.startswith("test_albert"):
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
