"""Which safetensors files of a Hugging Face folder hold its weights: those transformers reads."""

from __future__ import annotations

from pathlib import Path

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.jsontext import read_json
from shiftforge.quant.capture.loaders.screen import check_safetensors
from shiftforge.quant.tensor_file import read_header

__all__ = ["weight_files"]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_MOST_INDEX = 16 << 20
_AGAIN = "save the model again, or fetch the missing part"
_OTHERS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack")


def weight_files(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """(the screened files of the weights, notes on what is left aside).

    ``model.safetensors``, or without it the shards that ``model.safetensors.index.json`` names:
    each has the tensors that the index says, and no others. Raises InputError with every problem.
    """
    if (folder / WEIGHTS).exists():
        files = [folder / WEIGHTS]
        check_safetensors(files[0])
    elif (folder / INDEX).exists():
        files = _shards(folder)
    else:
        raise InputError(_none(folder))
    beside = {path.name for pattern in _OTHERS for path in folder.glob(pattern)}
    if folder / WEIGHTS in files and (folder / INDEX).exists():
        beside.add(INDEX)
    left = sorted(beside - {path.name for path in files})
    taken = files[0].name if len(files) == 1 else f"the {len(files)} files of {INDEX}"
    notes = (f"{folder}: reading {taken}, leaving aside {', '.join(left)}",) if left else ()
    return files, notes


def _none(folder: Path) -> Problem:
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if others:
        what = f"there is no {WEIGHTS} and no {INDEX}, only {', '.join(others)}"
        return Problem(what, f"call the file of the weights {WEIGHTS}", str(folder))
    pickled = sorted(p.name for p in [*folder.glob("*.bin"), *folder.glob("*.pt*")])
    what = "there is no safetensors file"
    if pickled:
        what += f", and {', '.join(pickled)} is a pickle: loading it could run code"
    remedy = "save it with save_pretrained(..., safe_serialization=True)"
    return Problem(what, remedy, str(folder))


def _shards(folder: Path) -> list[Path]:
    index = folder / INDEX
    held = read_json(index, most=_MOST_INDEX, remedy=_AGAIN)
    mapped = held.get("weight_map") if isinstance(held, dict) else None
    if (
        not isinstance(mapped, dict)
        or not mapped
        or not all(isinstance(name, str) for name in mapped.values())
    ):
        what = "has no weight_map of tensors to files"
        raise InputError(Problem(what, _AGAIN, str(index)))
    problems, wanted = Problems(), dict[str, set[str]]()
    for tensor, name in mapped.items():
        wanted.setdefault(name, set()).add(tensor)
    for name, tensors in sorted(wanted.items()):
        if not name.endswith(".safetensors") or name != Path(name).name or "\0" in name:
            what = f"names {name!r}, which is no safetensors file of this folder"
            problems.append(Problem(what, _AGAIN, str(index)))
        elif not (folder / name).exists():
            problems.append(Problem(f"names {name}, which is not there", _AGAIN, str(index)))
        else:
            problems.check(_check_shard, folder / name, tensors)
    problems.stop()
    return [folder / name for name in sorted(wanted)]


def _check_shard(path: Path, wanted: set[str]) -> None:
    """Raise InputError unless a file is whole and holds the tensors that the index says."""
    check_safetensors(path)
    held = set(read_header(path, _AGAIN).shapes)
    if held == wanted:
        return
    parts = [
        f"{len(names)} {words} ({sorted(names)[0]})"
        for names, words in (
            (wanted - held, "are missing"),
            (held - wanted, "are not in the index"),
        )
        if names
    ]
    what = f"its tensors are not those that {INDEX} says: {', '.join(parts)}"
    raise InputError(Problem(what, _AGAIN, str(path)))
