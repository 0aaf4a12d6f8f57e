"""The three OpenCL devices that install as Python wheels, found without any environment variable.

``pocl`` is PoCL (package pocl-binary-distribution), ``intel-cpu`` the Intel CPU runtime
(intel-opencl-rt) and ``intel-fpga-emu`` Intel's FPGA emulation platform
(intel-opencl-fpga-emu-rt), which has real ``cl_intel_channels``.

The Intel runtimes are shared libraries inside the wheels. Before the first OpenCL call of the
process the dependencies of the one that is asked for are loaded by full path, an ``.icd`` file
naming it is written to a temporary folder, and OCL_ICD_VENDORS is pointed at it; pyopencl's own
loader then lists the platforms, and the folder goes. A process that has already called OpenCL
cannot be prepared any more, so the command line runs kernels in child processes. Whether a device
works is for ``probe`` to say.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shiftforge.errors import InputError, Problem, ToolFailed
from shiftforge.scratch import work_folder
from shiftforge.sim.opencl.pocl_processor import apply_name

if TYPE_CHECKING:
    import pyopencl

__all__ = [
    "DEVICES",
    "SCRATCH",
    "Channels",
    "DeviceSpec",
    "clocked_problems",
    "device_spec",
    "installed",
    "open_device",
]

# Loaded in this order with RTLD_GLOBAL: each needs symbols of the ones before it.
_PRELOAD = (
    "libintlc.so.5",
    "libimf.so",
    "libirng.so",
    "libsvml.so",
    "libonnxruntime.1.12.22.721.so",
    "libtbb.so.12",
    "libcommon_clang.so.*",
)

Channels = Literal["intel", "lowered"]
SCRATCH = "SHIFTFORGE_SCRATCH"
"""Names a folder for files that a child process need not clear away itself."""


@dataclass(frozen=True)
class DeviceSpec:
    """What a device is called, how its platform is recognised, and which package provides it."""

    name: str
    platform_marker: str
    library: str
    package: str
    channels: Channels


DEVICES: tuple[DeviceSpec, ...] = (
    DeviceSpec(
        "pocl", "Portable Computing Language", "", "pocl-binary-distribution==3.0", "lowered"
    ),
    DeviceSpec(
        "intel-cpu", "Intel(R) OpenCL", "libintelocl.so", "intel-opencl-rt==2025.0.5", "lowered"
    ),
    DeviceSpec(
        "intel-fpga-emu",
        "Intel(R) FPGA Emulation Platform",
        "libintelocl_emu.so",
        "intel-opencl-fpga-emu-rt==2025.0.5",
        "intel",
    ),
)


def device_spec(name: str) -> DeviceSpec:
    """The device called ``name``; raises InputError that lists the known ones."""
    for spec in DEVICES:
        if isinstance(name, str) and spec.name == name:
            return spec
    known = ", ".join(d.name for d in DEVICES)
    raise InputError(Problem(f"unknown device {name!r}", f"use one of: {known}"))


def clocked_problems(names: Container[str]) -> list[Problem]:
    """A problem for each known device that has real channels: those have no simulated time."""
    usable = [spec.name for spec in DEVICES if spec.channels == "lowered"]
    return [
        Problem(f"{spec.name} has no simulated time", f"--clocked runs on {' or '.join(usable)}")
        for spec in DEVICES
        if spec.name in names and spec.name not in usable
    ]


def _library_folders() -> list[Path]:
    """Folders that may hold the runtimes' shared libraries, the wheels' own record first."""
    folders: list[Path] = []
    for package in ("intel-opencl-fpga-emu-rt", "intel-opencl-rt"):
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name.startswith("libintelocl"):
                folder = Path(str(file.locate())).resolve().parent
                if folder not in folders:
                    folders.append(folder)
    default = Path(sys.prefix) / "lib"
    if default not in folders:
        folders.append(default)
    return folders


def _pocl_library() -> Path | None:
    """PoCL's library, which its package puts beside pyopencl's."""
    found = find_spec("pyopencl")
    folders = found.submodule_search_locations if found is not None else None
    for folder in folders or ():
        hits = sorted(Path(folder, ".libs").glob("libpocl-*.so"))
        if hits:
            return hits[0]
    return None


def _find_library(pattern: str) -> Path | None:
    for folder in _library_folders():
        hits = sorted(folder.glob(pattern))
        if hits:
            return hits[0]
    return None


def installed(name: str) -> list[str]:
    """What is installed of a device's runtime: packages, and its libraries as files."""
    spec = device_spec(name)
    found = [f"{package} {_version(package)}" for package in ("pyopencl", spec.package)]
    paths = [_pocl_library()] if name == "pocl" else [_find_library(spec.library)]
    paths += [] if name == "pocl" else [_find_library(pattern) for pattern in _PRELOAD]
    for path in paths:
        own = None if path is None else path.stat()
        found.append("" if own is None else f"{path} {own.st_size} {own.st_mtime_ns}")
    return found


def _version(package: str) -> str:
    try:
        return metadata.version(package.partition("==")[0])
    except metadata.PackageNotFoundError:
        return ""


_prepared = ""
"""The device that this process was prepared for."""


@contextmanager
def _prepared_process(spec: DeviceSpec) -> Iterator[None]:
    """Make a device's platform visible to this process, before any OpenCL call of it.

    One device, because a runtime that cannot be loaded must not take the others with it. The folder
    of the .icd file is of no use once the platforms have been listed, and goes.
    """
    scratch = os.environ.get(SCRATCH)
    with work_folder("icd", Path(scratch) if scratch else None) as vendors:
        _show_only(spec, vendors)
        yield


def _show_only(spec: DeviceSpec, vendors: Path) -> None:
    library = _find_library(spec.library) if spec.library else None
    if library is not None:
        for pattern in _PRELOAD:
            path = _find_library(pattern)
            if path is not None:
                try:
                    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
                except OSError as error:
                    raise ToolFailed(f"{path.name} cannot be loaded: {error}") from error
        (vendors / f"{spec.name}.icd").write_text(f"{library}\n")
    os.environ["OCL_ICD_VENDORS"] = str(vendors)
    # Programs that PoCL 3.0 takes from its cache have lost their kernels' names.
    os.environ["POCL_KERNEL_CACHE"] = "0"
    # Vectorising over work items only costs compile time where there is one work item.
    os.environ.setdefault("CL_CONFIG_CPU_VECTORIZER_MODE", "1")
    # The Intel CPU runtime grants 256 KB of __local memory unless told otherwise.
    os.environ.setdefault("CL_CONFIG_CPU_FORCE_LOCAL_MEM_SIZE", "64MB")
    # More kernels than workers never start; the emulator runs one thread a kernel.
    os.environ.setdefault("CL_CONFIG_CPU_TBB_NUM_WORKERS", "32")


def _platforms(spec: DeviceSpec) -> list[pyopencl.Platform]:
    """The platforms of this process. Raises ToolFailed where it was prepared for another device."""
    global _prepared
    import pyopencl

    if _prepared:
        if _prepared != spec.name:
            raise ToolFailed(f"this process uses {_prepared}; use {spec.name} in one of its own")
        return pyopencl.get_platforms()
    _prepared = spec.name
    with _prepared_process(spec):
        try:
            return pyopencl.get_platforms()
        except pyopencl.Error:  # the loader says "none found" with an error
            return []


def open_device(name: str) -> pyopencl.Device:
    """The pyopencl device called ``name``.

    Raises InputError for an unknown name or where the platform is not installed, ToolFailed where
    PoCL cannot be told the processor that it is to be told (see ``pocl_processor``).
    """
    spec = device_spec(name)
    missing = Problem(f"OpenCL device {name} is not available", f"pip install {spec.package}", name)
    if find_spec("pyopencl") is None:
        raise InputError(missing)
    if name == "pocl":
        apply_name(_pocl_library())
    for platform in _platforms(spec):
        # The emulator's platform name contains no other device's marker.
        if platform.name.startswith(spec.platform_marker):
            devices = platform.get_devices()
            if devices:
                return devices[0]
    raise InputError(missing)
