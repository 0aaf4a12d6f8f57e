"""The generated project folder, as the commands see it: may it be written, what is in it."""

from __future__ import annotations

from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.generator.design import check_folder, read_manifest
from shiftforge.quant.graph.file import load_model
from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["MODEL_FILE", "folder_model", "output_folder_problems"]

MODEL_FILE = "model.safetensors"
"""The quantised model inside a generated folder."""


def output_folder_problems(folder: Path) -> list[Problem]:
    """What stops a generated project from being written to ``folder``; told before any work."""
    try:
        check_folder(folder)
    except InputError as error:
        return list(error.problems)
    return []


def folder_model(folder: Path) -> QuantizedModel:
    """The model of a generated folder; InputError where the folder is no generated project."""
    if not folder.is_dir():
        remedy = "make one with: shiftforge generate MODEL.safetensors --board NAME -o DIR"
        what = (
            "is a file, not a project's folder" if folder.is_file() else "there is no such folder"
        )
        raise InputError(Problem(what, remedy, str(folder)))
    if read_manifest(folder).get("kind") is not None:
        what = "the project of a text classifier, which takes no images"
        remedy = "run it with: shiftforge emulate DIR --device NAME --input TEXTS"
        raise InputError(Problem(what, remedy, str(folder)))
    return load_model(folder / MODEL_FILE)
