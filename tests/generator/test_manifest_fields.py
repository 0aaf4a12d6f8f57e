"""A manifest with any field missing, of another type or out of range is refused, field by field."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from shiftforge.boards.load import load_board
from shiftforge.errors import InputError
from shiftforge.generator.conv.manifest import ConvManifest, check_model, read_conv_manifest
from shiftforge.generator.conv.target import generate
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.manifest import MANIFEST, Content, manifest_text, read_manifest
from shiftforge.generator.project import Project, check_unedited, open_project
from shiftforge.quant.graph.example import random_model
from shiftforge.sim.edgebert.project import _unit

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**12, 1 << 70, 0.5, "", "x", [], [[]], {}, [1, 2], [1, 2, 3, 4],
    {"a": 1}, ["a"], "\n", [None],
)  # fmt: skip
MODEL = random_model(6)
DESIGN = generate(MODEL, load_board("a10gx1150"))
UNIT = {"unit": asdict(UnitConfig()), "sfu": asdict(SfuConfig())}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value, the value itself left out."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inside:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place."""
    found = copy.deepcopy(value)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return found


def without(value: Any, path: tuple[Any, ...]) -> Any:
    """A copy without a place."""
    found = copy.deepcopy(value)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return found


def _read(manifest: dict[str, Any]) -> ConvManifest:
    found = read_conv_manifest(Path("d"), manifest)
    check_model(Path("d"), found, MODEL)
    return found


def test_every_field_of_a_convolution_project_is_checked() -> None:
    good = _read(dict(DESIGN.manifest))
    wanted = ("units", "pixels", "image", "output", "channel_groups", "trace_lines", "trace",
              "channels")  # fmt: skip
    part = {name: DESIGN.manifest[name] for name in wanted}
    refused = tried = 0
    for path in places(part):
        for new in (*ODD, ...):
            manifest = without(part, path) if new is ... else changed(part, path, new)
            tried += 1
            try:
                found = _read(manifest)
            except InputError as error:
                refused += 1
                assert all(p.remedy and p.where for p in error.problems)
                continue
            # What passes is of the right type.
            assert type(found) is type(good)
    assert tried > 500
    assert refused > 0.9 * tried


@pytest.mark.parametrize("name", ["units", "pixels", "image", "output", "channels", "trace"])
def test_a_missing_field_is_named(name: str) -> None:
    manifest = {k: v for k, v in DESIGN.manifest.items() if k != name}
    with pytest.raises(InputError, match=rf"{MANIFEST}: {name}: Field required"):
        _read(manifest)


def test_a_manifest_of_another_network_is_refused() -> None:
    with pytest.raises(InputError, match=r"output: .* in the manifest, .* in the model"):
        output = {**DESIGN.manifest["output"], "tensor": "other"}
        _read({**DESIGN.manifest, "output": output})


def test_every_field_of_a_unit_is_checked() -> None:
    refused = 0
    _unit(Project(Path("d"), "edgebert", UNIT))
    for path in places(UNIT):
        for new in (*ODD, ...):
            manifest = without(UNIT, path) if new is ... else changed(UNIT, path, new)
            try:
                _unit(Project(Path("d"), "edgebert", manifest))
            except InputError as error:
                refused += 1
                assert all(p.remedy for p in error.problems)
    assert refused > 100


def test_files_of_a_manifest_that_fits_its_own_digest(tmp_path: Path) -> None:
    """What can be written by hand can be sealed by hand."""
    DESIGN.write(tmp_path / "d")
    good = {p: Content.of(data) for p, data in DESIGN.files.items()}
    one, two = asdict(Content.of(b"1")), asdict(Content.of(b"12"))
    for files, told in (
        ({"Makefile": []}, "no valid files"),
        ({"Makefile": [one]}, "no valid files"),
        ({"Makefile": [one, two]}, "no valid files"),
        ({"a" * 300: one}, "no valid files"),
        ({f"data/a{index}.bin": one for index in range(60_000)}, "lists 60,0"),
    ):
        manifest = json.loads(manifest_text(DESIGN.manifest, good))
        manifest["files"].update(files)
        del manifest["manifest"]
        sealed = hashlib.sha256((json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
        (tmp_path / "d" / MANIFEST).write_text(
            json.dumps({**manifest, "manifest": sealed.hexdigest()})
        )
        with pytest.raises(InputError, match=told) as error:
            check_unedited(open_project(tmp_path / "d"))
        assert len(error.value.problems) == 1


@pytest.mark.parametrize("new", [*ODD, ...], ids=repr)
@pytest.mark.parametrize("name", ["files", "kind", "manifest", "schema", "unfinished"])
def test_every_odd_manifest_is_refused_or_opened(name: str, new: Any, tmp_path: Path) -> None:
    DESIGN.write(tmp_path / "d")
    manifest = read_manifest(tmp_path / "d")
    manifest.pop(name, None)
    if new is not ...:
        manifest[name] = new
    # Only the text is odd: an own digest that fits would hide nothing.
    (tmp_path / "d" / MANIFEST).write_text(json.dumps(manifest))
    try:
        assert isinstance(open_project(tmp_path / "d").kind, str)
    except InputError as error:
        assert all(p.remedy and p.where for p in error.problems)
