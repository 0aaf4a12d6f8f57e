"""ALBERT's files and folders, as the commands see them: which are they, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from shiftforge.generator.edgebert.sfu import SfuConfig
    from shiftforge.generator.edgebert.unit import UnitConfig
    from shiftforge.generator.edgebert.unit_design import UnitDesign
    from shiftforge.quant.albert.network.file import Package
    from shiftforge.quant.albert.network.integer import IntegerAlbert
    from shiftforge.sim.golden.edgebert.encoder import Unit

__all__ = [
    "AlbertProject",
    "is_albert_file",
    "is_albert_project",
    "is_any_model_file",
    "load_project",
    "refuse_options",
    "threshold_problems",
]

_KEY, _KIND, _HEADER, _MOST_HEADER = "shiftforge", "albert-integer", 8, 1 << 26
_AGAIN = "run `shiftforge generate` again into an empty folder"


@dataclass(frozen=True)
class AlbertProject:
    """A generated folder. text: its device text, which is what the OpenCL devices build; rtl: its
    SystemVerilog by file name, which is what the simulation builds."""

    folder: Path
    manifest: Mapping[str, Any]
    package: Package
    config: UnitConfig
    sfu: SfuConfig
    text: str
    rtl: Mapping[str, str]

    @property
    def network(self) -> IntegerAlbert:
        """The integers."""
        return self.package.network

    @property
    def design(self) -> UnitDesign:
        """The whole unit."""
        from shiftforge.generator.edgebert.unit_design import UnitDesign

        return UnitDesign(self.config, self.sfu)

    @property
    def unit(self) -> Unit:
        """The unit's numbers for the reference."""
        from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit

        return golden_unit(self.design)


def is_albert_file(path: Path) -> bool:
    """Whether a file says of itself that it holds an integer ALBERT."""
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(_HEADER), "little")
            if not 0 < size <= _MOST_HEADER:
                return False
            header = json.loads(stream.read(size))
        text = json.loads(header["__metadata__"][_KEY])
        return str(text["kind"]).startswith(_KIND)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def is_any_model_file(path: Path) -> bool:
    """Whether an existing file is one of `quantize`, and so may be replaced by another."""
    from shiftforge.cli.options import is_model_file

    return is_model_file(path) or is_albert_file(path)


def is_albert_project(folder: Path) -> bool:
    """Whether a folder holds a generated project of an ALBERT."""
    from shiftforge.generator.design import read_manifest
    from shiftforge.generator.edgebert.target import KIND

    if not folder.is_dir():
        return False
    try:
        return read_manifest(folder).get("kind") == KIND
    except InputError:
        return False


def load_project(folder: Path) -> AlbertProject:
    """The parts of a generated folder. Raises InputError where it cannot be run."""
    from shiftforge import __version__
    from shiftforge.generator.design import MANIFEST, read_manifest
    from shiftforge.generator.edgebert.sfu import SfuConfig
    from shiftforge.generator.edgebert.target import DEVICE, INTERFACE, KIND, NETWORK
    from shiftforge.generator.edgebert.unit import UnitConfig
    from shiftforge.quant.albert.network.file import load_package

    if not folder.is_dir():
        remedy = "make one with: shiftforge generate NETWORK.safetensors --board NAME -o DIR"
        what = (
            "is a file, not a project's folder" if folder.is_file() else "there is no such folder"
        )
        raise InputError(Problem(what, remedy, str(folder)))
    manifest = read_manifest(folder)
    if manifest.get("kind") != KIND:
        what = "a project of a convolutional network, not of a text classifier"
        raise InputError(Problem(what, "give a project made from an ALBERT", str(folder)))
    wanted = f"{__version__}/{KIND}-{INTERFACE}"
    if manifest.get("interface") != wanted:
        what = f"made for interface {manifest.get('interface')}, this is {wanted}"
        raise InputError(Problem(what, _AGAIN, str(folder)))
    problems: list[Problem] = []
    wanted_rtl = [name for name in manifest["files"] if name.endswith(".sv")]
    texts = {name: _text(folder / name, problems) for name in (DEVICE, *wanted_rtl)}
    config = sfu = package = None
    try:
        config, sfu = UnitConfig(**manifest["unit"]), SfuConfig(**manifest["sfu"])
    except (KeyError, TypeError) as error:
        problems.append(Problem(f"no unit: {error}", _AGAIN, str(folder / MANIFEST)))
    except InputError as error:
        problems += error.problems
    try:
        package = load_package(folder / NETWORK)
    except InputError as error:
        problems += error.problems
    if problems or config is None or sfu is None or package is None:
        raise InputError(problems)
    text = texts.pop(DEVICE)
    rtl = {Path(name).name: own for name, own in texts.items()}
    return AlbertProject(folder, manifest, package, config, sfu, text, rtl)


def _text(path: Path, problems: list[Problem]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"cannot be read: {error}", _AGAIN, str(path)))
        return ""


def refuse_options(names: Iterable[str], why: str) -> list[Problem]:
    """A problem for each of the current command's options that was given and does not apply.

    names: of parameters, as the command function has them.
    """
    context = click.get_current_context()
    options = {parameter.name: parameter for parameter in context.command.params}
    given = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    return [
        Problem(f"{options[name].opts[-1]} {why}", "leave it out")
        for name in names
        if context.get_parameter_source(name) in given
    ]


def threshold_problems(threshold: float | None) -> list[Problem]:
    """An entropy in nats that the unit's register can hold, or none."""
    if threshold is None or 0 <= threshold < 1 << 16:
        return []
    what = f"a threshold of {threshold:g} nats"
    return [Problem(what, "give 0 or more, such as 0.3; leave it out to run all layers",
                    "--threshold")]  # fmt: skip
