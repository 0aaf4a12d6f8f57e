"""Options and checks that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from shiftforge.errors import Problem

__all__ = [
    "frame_options",
    "is_model_file",
    "json_option",
    "output_file_problems",
    "threshold_option",
    "time_limit_option",
]

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """``--json``: one JSON document on stdout and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def frame_options(command: F) -> F:
    """``--input``, ``--limit`` and ``--data``: which frames to run."""
    for option in (
        click.option(
            "--data",
            "data_dir",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Folder of the Fashion-MNIST IDX files.",
        ),
        click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N frames."),
        click.option("--input", "source", required=True, metavar="INPUT", help="What to run."),
    ):
        command = option(command)
    return command


def threshold_option(of: str) -> Callable[[F], F]:
    """``--threshold``. of: whose it is, the beginning of its help."""
    text = f"{of} entropy at which a sentence leaves; all layers without it."
    return click.option("--threshold", type=float, metavar="NATS", help=text)


def time_limit_option(text: str = "End a device's run after this long.") -> Callable[[F], F]:
    """``--time-limit`` in seconds, above 0. text: its help."""
    return click.option(
        "--time-limit",
        type=click.FloatRange(min=0, min_open=True),
        default=600.0,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )


def output_file_problems(path: Path, suffix: str, is_ours: Callable[[Path], bool]) -> list[Problem]:
    """What stops ``path`` from being written: checked before any work is done.

    is_ours: tells whether an existing file was written by this program; no other is overwritten.
    """
    where = str(path)
    if path.is_dir():
        return [Problem("is a folder", f"name a file, such as {path / ('model' + suffix)}", where)]
    problems = []
    if path.suffix != suffix:
        problems.append(
            Problem(f"does not end in {suffix}", f"use {path.with_suffix(suffix)}", where)
        )
    if not path.parent.is_dir():
        problems.append(Problem("its folder does not exist", f"mkdir -p {path.parent}", where))
    elif path.exists() and not is_ours(path):
        problems.append(
            Problem(
                "exists and was not written by shiftforge",
                "name another file, or remove this one",
                where,
            )
        )
    return problems


def is_model_file(path: Path) -> bool:
    """Whether an existing file is a model of `quantize`, and so may be replaced by another."""
    from safetensors import SafetensorError, safe_open

    from shiftforge.quant.graph.file import METADATA_KEY

    try:
        with safe_open(path, framework="np") as held:
            return METADATA_KEY in (held.metadata() or {})
    except (OSError, SafetensorError):
        return False
