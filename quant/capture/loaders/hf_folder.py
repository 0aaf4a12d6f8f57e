"""What a Hugging Face folder holds, checked by its bytes and without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.quant.capture.loaders.screen import check_safetensors

__all__ = ["check_folder", "read_json"]

MAX_JSON = 1 << 24
ARCHITECTURE = "MobileNetV2ForImageClassification"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of at most 16 MiB; InputError otherwise."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"it holds more than {MAX_JSON} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            Problem(f"it is not readable JSON: {error}", "save the model again", str(path))
        ) from error
    if not isinstance(content, dict):
        raise InputError(Problem("it is no JSON object", "save the model again", str(path)))
    return content


def check_folder(folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """config.json and the screened safetensors files; all problems of the folder at once."""
    problems = Problems()
    config: dict[str, Any] = {}
    if (folder / "config.json").is_file():
        config = read_json(folder / "config.json")
        kind = config.get("model_type")
        architectures = config.get("architectures") or [ARCHITECTURE]
        if kind != "mobilenet_v2" or ARCHITECTURE not in architectures:
            problems.append(
                Problem(
                    f"it describes a {kind} ({', '.join(map(str, architectures))})",
                    f"give a {ARCHITECTURE}, or load another network by package.module:factory",
                    str(folder / "config.json"),
                )
            )
    else:
        problems.append(
            Problem("there is no config.json", "give the folder save_pretrained wrote", str(folder))
        )
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = sorted(p.name for p in [*folder.glob("*.bin"), *folder.glob("*.pt*")])
        what = "there is no safetensors file"
        if pickled:
            what += f", and {', '.join(pickled)} is a pickle: loading it could run code"
        problems.append(
            Problem(what, "save it with save_pretrained(..., safe_serialization=True)", str(folder))
        )
    for file in files:
        with collect(problems):
            check_safetensors(file)
    problems.stop()
    return config, files
