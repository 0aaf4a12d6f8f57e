"""Device programs that were compiled before: taken from the cache in place of compiling again.

PoCL compiles a kernel for the processor at its first launch, so that a program is kept after its
first run. What is kept depends on the text, the options, the runtime and the processor.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.kept import Store, digest
from shiftforge.sim.opencl.build import build_program

if TYPE_CHECKING:
    import pyopencl

__all__ = ["BuiltProgram", "kept_program", "processor", "runtime_settings"]

_SETTINGS = ("POCL_", "CL_CONFIG_", "PYOPENCL_BUILD_OPTIONS", "SHIFTFORGE_POCL")
# Folders of a single run.
_OF_A_RUN = ("POCL_CACHE_DIR",)
_STORE = Store("programs")


class BuiltProgram:
    """A program of a context's device. key: what it is to be kept under; "" where it is kept."""

    def __init__(self, program: pyopencl.Program, key: str) -> None:
        self.program, self._key = program, key

    def keep(self) -> None:
        """Keep it for later processes; to be called when its kernels have run."""
        if not self._key:
            return
        import pyopencl as cl

        try:
            binaries: Any = self.program.get_info(cl.program_info.BINARIES)
        except cl.Error:
            return  # a runtime that does not give it away
        finally:
            key, self._key = self._key, ""
        _STORE.write(key, binaries[0])


def kept_program(
    context: pyopencl.Context, source: str, options: Sequence[str] = (), name: str = "kernels"
) -> BuiltProgram:
    """``build_program``, from the cache where the same was compiled before."""
    import pyopencl as cl

    (device,) = context.devices
    platform = device.platform
    runtime = platform.name, platform.version, device.name, device.version, device.driver_version
    key = digest([source, *options, "\0", *runtime, processor(), *runtime_settings()])
    binary = _STORE.read(key)
    if binary is not None:
        try:
            program = cl.Program(context, [device], [binary]).build(options=list(options))
            return BuiltProgram(program, "")
        except cl.Error:
            _STORE.drop(key)
    return BuiltProgram(build_program(context, source, options, name), key)


@cache
def processor() -> str:
    """What tells this machine's processor from another, for which programs differ."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return os.uname().machine
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features")
    first = text.split("\n\n")[0].splitlines()
    return "\n".join(line for line in first if line.partition(":")[0].strip() in wanted)


def runtime_settings() -> list[str]:
    """The environment's variables that change what a runtime makes of a program."""
    found = [f"{name}={value}" for name, value in os.environ.items()
             if name.startswith(_SETTINGS) and name not in _OF_A_RUN]  # fmt: skip
    return sorted(found)
