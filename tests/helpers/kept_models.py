"""Models that a test failed on, kept for a closer look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shiftforge.quant.graph.file import save_model
from shiftforge.quant.graph.types import QuantizedModel

FOLDER = Path("out/fuzz")


@contextmanager
def kept_where_it_fails(model: QuantizedModel, name: str) -> Iterator[None]:
    """Save the model as a file under out/fuzz where what is done with it fails."""
    try:
        yield
    except (AssertionError, RuntimeError):
        FOLDER.mkdir(parents=True, exist_ok=True)
        save_model(model, FOLDER / f"{name}.safetensors")
        raise
