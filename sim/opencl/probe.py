"""Is a device usable? One small kernel built and run in a child process, its numbers compared.

That a platform is found says little: a runtime may not know the processor, may crash at the first
build, or may compute wrong numbers. The kernel (``kernels/probe.cl``) uses the vector types and
constructs of the product's kernels. A child, because runtimes abort and hang. Each device is
probed once a process, and what it answers is kept for later ones.

``SHIFTFORGE_UNUSABLE=NAME[,NAME]`` declares devices unusable without asking them: for trying what
the other commands do without them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.files import system_problem
from shiftforge.kept import Store, digest
from shiftforge.scratch import work_folder
from shiftforge.sim.opencl.build import NO_LINKER, lacks_linker
from shiftforge.sim.opencl.child import child_environment, ended_with
from shiftforge.sim.opencl.devices import DEVICES, Channels, device_spec, installed
from shiftforge.sim.opencl.pocl_processor import (
    MEND,
    NAME,
    REFUSAL,
    SUBSTITUTE,
    mend_allowed,
    wide_name,
)
from shiftforge.sim.opencl.programs import processor, runtime_settings

__all__ = [
    "UNUSABLE",
    "DeviceState",
    "circumstances",
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
_STORE = Store("probes")

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
def probe(name: str, afresh: bool = False) -> DeviceState:
    """The state of the device called ``name``; asked once a process.

    afresh: ask the device whatever was kept of an earlier process's question.

    Where PoCL does not know the processor, or not its widest vectors, it is asked with the name of
    one that it knows; if its numbers are right then, the name is left in this process's
    environment, for the children that run designs. Raises InputError for an unknown name.
    """
    device_spec(name)
    return decide(name, _ask_child if afresh else _ask_kept)


def decide(name: str, ask: Ask) -> DeviceState:
    """``probe`` without its memory. ask: (device, additions to the environment) -> an answer."""
    spec = device_spec(name)
    if name in _declared():
        return DeviceState(
            name,
            False,
            False,
            f"declared unusable by {UNUSABLE}",
            spec.channels,
            f"unset {UNUSABLE}",
        )
    if name == "pocl" and (wide := wide_name(processor())):
        state = _state(name, ask(name, {NAME: wide}))
        if state.usable:
            return _told(state, wide, "its LLVM 14 knows no AMD processor with AVX-512")
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
    return _told(second, SUBSTITUTE, reason)


def _told(state: DeviceState, processor: str, reason: str) -> DeviceState:
    """PoCL as it works with a processor's name, which later children are left, too."""
    os.environ[NAME] = processor
    how = f"it was told {processor} in memory ({MEND}=off switches that off)"
    return replace(state, detail=f"{state.detail}; {reason}: {how}")


def _declared() -> set[str]:
    """Devices that the environment declares unusable. Raises InputError for names of none."""
    named = set(os.environ.get(UNUSABLE, "").lower().replace(" ", "").split(","))
    known = {spec.name for spec in DEVICES}
    unknown = sorted(named - known - {""})
    if unknown:
        what = f"{UNUSABLE} names no device: {', '.join(unknown)}"
        raise InputError(Problem(what, f"use {', '.join(sorted(known))}", UNUSABLE))
    return named


def _state(name: str, answer: Answer) -> DeviceState:
    spec = device_spec(name)
    found = bool(answer["found"])
    remedy = "" if answer["usable"] else str(answer.get("remedy") or _OTHERS)
    if not answer["usable"] and name == "pocl" and os.environ.get(NAME):
        remedy = f"unset {NAME}, or {_OTHERS}"
    detail = str(answer["detail"])
    if not answer["usable"] and name == "pocl" and lacks_linker(detail):
        detail, remedy = f"{detail.rstrip('.')}: {NO_LINKER}", "install binutils"
    return DeviceState(name, found, bool(answer["usable"]), detail, spec.channels, remedy)


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


def first_usable() -> tuple[str | None, tuple[DeviceState, ...]]:
    """The first usable device, and those before it that are not: they are skipped by name and
    reason. None where no device is usable."""
    skipped: list[DeviceState] = []
    for spec in DEVICES:
        state = probe(spec.name)
        if state.usable:
            return state.name, tuple(skipped)
        skipped.append(state)
    return None, tuple(skipped)


def skipped_text(state: DeviceState) -> str:
    """Why a device is left out, in a line."""
    return f"{state.name} is skipped: {state.detail}"


def no_device_text(skipped: Iterable[DeviceState]) -> str:
    """That no device is usable, in a sentence."""
    reasons = "; ".join(f"{state.name}: {state.detail}" for state in skipped)
    return f"no OpenCL device is usable here ({reasons}); `shiftforge doctor` says what mends that"


def _ask_kept(name: str, additions: dict[str, str]) -> Answer:
    """The answer of an earlier process, where nothing that decides it has changed since.

    Answers that a user would mend are asked for again every time.
    """
    key = circumstances(name, additions)
    kept = _STORE.read(key)
    if kept is not None:
        answer: Answer = json.loads(kept)
        return answer
    answer = _ask_child(name, additions)
    # That PoCL does not know the processor changes with its library alone.
    if answer["usable"] or REFUSAL in str(answer["detail"]):
        _STORE.write(key, json.dumps(answer).encode())
    return answer


def circumstances(name: str, additions: Mapping[str, str] = MappingProxyType({})) -> str:
    """A digest of what decides a device's answer: the runtimes, the processor, the settings.

    additions: to this process's environment.
    """
    text = resources.files("shiftforge.kernels").joinpath("probe.cl").read_bytes()
    settings = [*runtime_settings(), *(f"{k}={v}" for k, v in sorted(additions.items()))]
    found = [os.environ.get(n, "") for n in ("LD_LIBRARY_PATH", "LD_PRELOAD", "OCL_ICD_FILENAMES")]
    return digest(
        [name, text, *installed(name), *settings, processor(), str(shutil.which("ld")), *found]
    )


def _ask_child(
    name: str, additions: dict[str, str], command: Sequence[str] = ("-m", CHILD)
) -> Answer:
    """What the child says; a crash or no answer is told as the reason."""
    failed = {"found": True, "usable": False}
    try:
        with work_folder("run") as work:
            done = subprocess.run(
                [sys.executable, "-P", *command, name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=TIME_LIMIT_S,
                env={**child_environment(work), **additions},
                check=False,
            )
    except subprocess.TimeoutExpired:
        return {**failed, "detail": f"no answer in {TIME_LIMIT_S:g} s"}
    except OSError as error:
        told = system_problem(error)
        detail = f"its probe cannot be started: {told.what}"
        return {**failed, "detail": detail, "remedy": told.remedy}
    if done.returncode == 0:
        try:
            answer = json.loads(done.stdout.strip().splitlines()[-1])
            return {key: answer[key] for key in ("found", "usable", "detail", "remedy")}
        except (ValueError, IndexError, KeyError, TypeError):
            return {**failed, "detail": "its probe gave no answer that can be read"}
    errors = done.stderr.strip().splitlines()
    why = errors[-1].strip() if errors else "without a word"
    return {**failed, "detail": f"its probe ended with {ended_with(done.returncode)}: {why}"}
