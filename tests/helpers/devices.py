"""OpenCL devices in tests: an unusable one is skipped with its reason, and counted.

A test says what it uses by ``@pytest.mark.device("pocl")``, by a parameter called ``device``, or by
running a job on a ``DeviceClient``. With ``--require-devices`` (``make test``) the suite fails
where no device without channels, or not the emulator, has run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shiftforge.sim.opencl import probe as module
from shiftforge.sim.opencl.devices import DEVICES, device_spec
from shiftforge.sim.opencl.probe import DeviceState, no_device_text, probe

NAMES = tuple(spec.name for spec in DEVICES)
RAN, SKIPPED = "device", "device skipped"
BUILD_OPTIONS = "PYOPENCL_BUILD_OPTIONS"
_UNOPTIMISED = "-cl-opt-disable"


def compile_fast() -> None:
    """Kernels are compiled without optimising them, in this process and its children.

    A small design runs in milliseconds and is compiled in seconds, most of them for optimising: a
    sixth of the time is left.
    """
    os.environ.setdefault(BUILD_OPTIONS, _UNOPTIMISED)


@contextmanager
def as_users_compile() -> Iterator[None]:
    """Within it, kernels are optimised as they are outside of tests."""
    if os.environ.get(BUILD_OPTIONS) != _UNOPTIMISED:
        yield
        return
    del os.environ[BUILD_OPTIONS]
    try:
        yield
    finally:
        os.environ[BUILD_OPTIONS] = _UNOPTIMISED


class _Now:
    """The test that is running."""

    item: pytest.Item | None = None


def enter(item: pytest.Item) -> None:
    """A test begins; skips it where a device that it names is not usable."""
    _Now.item = item
    wanted = [name for mark in item.iter_markers("device") for name in mark.args]
    call = getattr(item, "callspec", None)
    if call is not None and call.params.get("device") in NAMES:
        wanted.append(call.params["device"])
    for name in dict.fromkeys(wanted):
        use_device(name)


def use_device(name: str) -> str:
    """Note that the running test uses a device, or skip it where that is not usable."""
    state = probe(name)
    noted = None if _Now.item is None else _Now.item.user_properties
    entry = (RAN if state.usable else SKIPPED, name)
    if noted is not None and entry not in noted:
        noted.append(entry)
    if not state.usable:
        pytest.skip(f"{name}: {state.detail}")
    return name


def lowered_device() -> str:
    """The first usable device without channels; skips the test where there is none."""
    states = [probe(spec.name) for spec in DEVICES if spec.channels == "lowered"]
    usable = [state.name for state in states if state.usable]
    return use_device(usable[0] if usable else states[0].name)


def pretend_usable(monkeypatch: pytest.MonkeyPatch, *unusable: str) -> None:
    """Commands find every device usable but those named, whose probes failed; none is asked."""

    def pretended(name: str, afresh: bool = False) -> DeviceState:
        channels = device_spec(name).channels
        if name in unusable:
            return DeviceState(name, True, False, f"{name} was planted", channels, "mend it")
        return DeviceState(name, True, True, "pretended", channels)

    monkeypatch.setattr(module, "probe", pretended)


def unmet() -> str:
    """Why the suite cannot run at all with the devices that are usable here; "" where it can."""
    states = [probe(name) for name in NAMES]
    bad = [state for state in states if not state.usable]
    if len(bad) == len(states):
        return no_device_text(bad)
    missing = {"lowered", "intel"} - {state.channels for state in states if state.usable}
    if missing:
        reasons = "; ".join(f"{s.name}: {s.detail}" for s in bad if s.channels in missing)
        return f"the suite needs a device without channels and the emulator ({reasons})"
    return ""


class Count:
    """Tests that ran on each device, and tests that were skipped for it."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    def add(self, report: pytest.TestReport) -> None:
        """Count a test once, when it is over."""
        if report.when == "teardown":
            own = set(report.user_properties)
            self.ran.update(str(name) for kind, name in own if kind == RAN)
            self.skipped.update(str(name) for kind, name in own if kind == SKIPPED)

    def lines(self) -> list[str]:
        """The summary: a line a device."""
        return [
            f"{name}: {self.ran[name]} tests ran, {self.skipped[name]} skipped"
            + (f" ({probe(name).detail})" if self.skipped[name] else "")
            for name in NAMES
        ]

    def missing(self) -> str:
        """What of the suite's needs has not run; "" where nothing is missing."""
        kinds = {device_spec(name).channels for name in self.ran}
        words = {
            "lowered": "no device without channels has run",
            "intel": "the emulator has not run",
        }
        return "; ".join(text for kind, text in words.items() if kind not in kinds)
