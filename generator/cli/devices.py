"""What the commands say of OpenCL devices that are not usable here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from shiftforge.errors import ToolFailed

if TYPE_CHECKING:
    from shiftforge.sim.opencl.probe import DeviceState

__all__ = ["split_usable", "tell_skipped"]


def split_usable(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[DeviceState, ...]]:
    """The usable ones of some devices, and the states of the others."""
    from shiftforge.sim.opencl.probe import probe

    states = [probe(name) for name in names]
    return tuple(s.name for s in states if s.usable), tuple(s for s in states if not s.usable)


def tell_skipped(skipped: Sequence[DeviceState], *, needed: bool = False) -> None:
    """Say which devices are left out, and why. Raises ToolFailed where one was needed."""
    from shiftforge.cli.output import note
    from shiftforge.sim.opencl.probe import no_device_text, skipped_text

    if needed:
        raise ToolFailed(no_device_text(skipped))
    for state in skipped:
        note(skipped_text(state))
