"""The parts of a text classifier's project that run: network, unit, device text, RTL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shiftforge.errors import Problems
from shiftforge.fields import read_fields
from shiftforge.files import read_text
from shiftforge.generator.edgebert.rtl import UNIT_TOP
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.target import DEVICE, INTERFACE, NETWORK
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.manifest import MANIFEST
from shiftforge.generator.project import AGAIN, Project, check_interface
from shiftforge.quant.albert.network.file import Package, load_package
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.golden.edgebert.encoder import Unit

__all__ = ["UnitProject", "load_unit_project"]

_TOP = f"rtl/{UNIT_TOP}.sv"


@dataclass(frozen=True)
class UnitProject:
    """text: the device text, which is what the OpenCL devices build; rtl: the SystemVerilog by file
    name, which is what the simulation builds."""

    folder: Path
    package: Package
    design: UnitDesign
    text: str
    rtl: Mapping[str, str]

    @property
    def network(self) -> IntegerAlbert:
        """The integers."""
        return self.package.network

    @property
    def unit(self) -> Unit:
        """The unit's numbers for the reference."""
        return golden_unit(self.design)


def load_unit_project(project: Project) -> UnitProject:
    """The parts of a project. Raises InputError where it cannot be run."""
    problems = Problems(check_interface(project, INTERFACE, (DEVICE, NETWORK, _TOP)))
    problems.stop()
    names = [name for name in project.manifest["files"] if name.endswith(".sv")]
    texts = {
        name: problems.check(read_text, project.path(name), remedy=AGAIN)
        for name in (DEVICE, *names)
    }
    design = problems.check(_unit, project)
    package = problems.check(load_package, project.path(NETWORK))
    problems.stop()
    assert design is not None and package is not None
    read = {name: text for name, text in texts.items() if text is not None}
    text = read.pop(DEVICE)
    rtl = {Path(name).name: own for name, own in read.items()}
    return UnitProject(project.folder, package, design, text, rtl)


@dataclass(frozen=True)
class _Manifest:
    """unit, sfu: the processing unit that was generated."""

    unit: UnitConfig
    sfu: SfuConfig


def _unit(project: Project) -> UnitDesign:
    where = str(project.path(MANIFEST))
    found = read_fields(_Manifest, project.manifest, where, AGAIN)
    return UnitDesign(found.unit, found.sfu)
