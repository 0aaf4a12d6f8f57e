"""What a Hugging Face folder holds, checked by its bytes and without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shiftforge import jsontext
from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.quant.capture.loaders.hf_weights import weight_files

__all__ = ["check_folder", "read_json"]

MAX_JSON = 1 << 24
ARCHITECTURE = "MobileNetV2ForImageClassification"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of at most 16 MiB; InputError otherwise."""
    content = jsontext.read_json(path, most=MAX_JSON, remedy="save the model again")
    if not isinstance(content, dict):
        raise InputError(Problem("it is no JSON object", "save the model again", str(path)))
    return content


def check_folder(folder: Path) -> tuple[dict[str, Any], list[Path], tuple[str, ...]]:
    """config.json, the screened safetensors files of the weights, and notes on what else is there.

    Raises InputError with all problems of the folder at once.
    """
    problems = Problems()
    config: dict[str, Any] = {}
    if (folder / "config.json").exists():
        config = read_json(folder / "config.json")
        kind = config.get("model_type")
        architectures = config.get("architectures", [ARCHITECTURE])
        if not isinstance(architectures, list):
            architectures = [architectures]
        if kind != "mobilenet_v2" or ARCHITECTURE not in architectures:
            problems.append(
                Problem(
                    f"it describes a {kind} ({', '.join(map(str, architectures))})"[:200],
                    f"give a {ARCHITECTURE}, or load another network by package.module:factory",
                    str(folder / "config.json"),
                )
            )
    else:
        problems.append(
            Problem("there is no config.json", "give the folder save_pretrained wrote", str(folder))
        )
    weights: list[Path] = []
    notes: tuple[str, ...] = ()
    with collect(problems):
        weights, notes = weight_files(folder)
    problems.stop()
    return config, weights, notes
