"""Is a device usable? One small kernel built and run in a child process, its numbers compared.

That a platform is found says little: a runtime may not know the processor, may crash at the first
build, or may compute wrong numbers. The kernel (``kernels/probe.cl``) uses the vector types and
constructs of the product's kernels. A child, because runtimes abort and hang. Each device is
probed once a process.

``SHIFTFORGE_UNUSABLE=NAME[,NAME]`` declares devices unusable without asking them: for trying what
the other commands do without them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.sim.opencl.devices import DEVICES, Channels, device_spec
from shiftforge.sim.opencl.pocl_processor import MEND, NAME, REFUSAL, SUBSTITUTE, mend_allowed

__all__ = [
    "UNUSABLE",
    "DeviceState",
    "first_usable",
    "no_device_text",
    "probe",
    "probe_all",
    "require_device",
    "skipped_text",
    "usable_devices",
]

UNUSABLE = "SHIFTFORGE_UNUSABLE"
TIME_LIMIT_S = 120.0
CHILD = "shiftforge.sim.opencl.probe_child"
_OTHERS = "use another device"

Answer = dict[str, Any]
Ask = Callable[[str, "dict[str, str]"], Answer]


@dataclass(frozen=True)
class DeviceState:
    """A device as found here.

    found: its platform is installed. usable: it built and ran the probe's kernel with the right
    numbers. detail: what it is, or why it is not usable. remedy: "" where nothing is to mend.
    """

    name: str
    found: bool
    usable: bool
    detail: str
    channels: Channels
    remedy: str = ""


@cache
def probe(name: str) -> DeviceState:
    """The state of the device called ``name``; asked once a process.

    Where PoCL does not know the processor, it is asked again with the name of one that it knows;
    if its numbers are right then, the name is left in this process's environment, for the children
    that run designs. Raises InputError for an unknown name.
    """
    device_spec(name)
    return decide(name, _ask_child)


def decide(name: str, ask: Ask) -> DeviceState:
    """``probe`` without its memory. ask: (device, additions to the environment) -> an answer."""
    spec = device_spec(name)
    if name in os.environ.get(UNUSABLE, "").replace(" ", "").split(","):
        return DeviceState(
            name,
            False,
            False,
            f"declared unusable by {UNUSABLE}",
            spec.channels,
            f"unset {UNUSABLE}",
        )
    state = _state(name, ask(name, {}))
    if state.usable or name != "pocl" or REFUSAL not in state.detail:
        return state
    reason = "its LLVM 14 does not know this processor"
    if not mend_allowed():
        return replace(state, detail=f"{reason}, and {MEND} keeps it from being told another",
                       remedy=f"unset {MEND}, or {_OTHERS}")  # fmt: skip
    second = _state(name, ask(name, {NAME: SUBSTITUTE}))
    if not second.usable:
        return replace(second, detail=f"{reason}; told {SUBSTITUTE} instead: {second.detail}",
                       remedy=_OTHERS)  # fmt: skip
    os.environ[NAME] = SUBSTITUTE
    return replace(
        second, detail=f"{second.detail}; {reason}: it was told {SUBSTITUTE} in memory ({MEND}=off "
        "switches that off)"
    )  # fmt: skip


def _state(name: str, answer: Answer) -> DeviceState:
    spec = device_spec(name)
    found = bool(answer["found"])
    remedy = "" if answer["usable"] else _OTHERS if found else f"pip install {spec.package}"
    return DeviceState(
        name, found, bool(answer["usable"]), str(answer["detail"]), spec.channels, remedy
    )


def probe_all() -> tuple[DeviceState, ...]:
    """Every known device."""
    return tuple(probe(spec.name) for spec in DEVICES)


def usable_devices(channels: Channels | None = None) -> tuple[str, ...]:
    """Names of the usable devices, of one kind of channels or of all, in the order of DEVICES."""
    states = probe_all()
    return tuple(s.name for s in states if s.usable and channels in (None, s.channels))


def require_device(name: str) -> DeviceState:
    """The state of a usable device. Raises InputError for one that is unknown or not usable, with
    the reason and the devices that do work."""
    state = probe(name)
    if state.usable:
        return state
    works = ", ".join(usable_devices())
    remedy = f"use {works}" if works else "`shiftforge doctor` says what each device lacks"
    if state.remedy not in ("", _OTHERS):
        remedy = f"{state.remedy}; or {remedy}"
    raise InputError(Problem(f"device {name} is not usable: {state.detail}", remedy))


def first_usable(among: Iterable[str] | None = None) -> tuple[str | None, tuple[DeviceState, ...]]:
    """The first usable device, and those before it that are not: they are skipped by name and
    reason. None where no device is usable."""
    skipped: list[DeviceState] = []
    for name in [spec.name for spec in DEVICES] if among is None else among:
        state = probe(name)
        if state.usable:
            return name, tuple(skipped)
        skipped.append(state)
    return None, tuple(skipped)


def skipped_text(state: DeviceState) -> str:
    """Why a device is left out, in a line."""
    return f"{state.name} is skipped: {state.detail}"


def no_device_text(skipped: Iterable[DeviceState]) -> str:
    """That no device is usable, in a sentence."""
    reasons = "; ".join(f"{state.name}: {state.detail}" for state in skipped)
    return f"no OpenCL device is usable here ({reasons}); `shiftforge doctor` says what mends that"


def _ask_child(
    name: str, additions: dict[str, str], command: Sequence[str] = ("-m", CHILD)
) -> Answer:
    """What the child says; a crash or no answer is told as the reason."""
    try:
        done = subprocess.run(
            [sys.executable, *command, name],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT_S,
            env={**os.environ, **additions},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"found": True, "usable": False, "detail": f"no answer in {TIME_LIMIT_S:g} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        answer: Answer = json.loads(lines[-1])
        return answer
    errors = done.stderr.strip().splitlines()
    why = errors[-1] if errors else "without a word"
    return {"found": True, "usable": False,
            "detail": f"its probe ended with status {done.returncode}: {why}"}  # fmt: skip
