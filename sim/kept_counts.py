"""Simulated time that was counted before: the same project, device, runtime and code again."""

from __future__ import annotations

import json
from typing import Any

from shiftforge.files import read_bytes
from shiftforge.generator.manifest import MANIFEST
from shiftforge.generator.project import Project
from shiftforge.kept import Store, digest
from shiftforge.kept_code import code_digest
from shiftforge.sim.opencl.probe import circumstances
from shiftforge.sim.reporting import Counts, RunLimits

__all__ = ["kept_counted"]

_STORE = Store("counts")
_ROOMS = ("boards", "generator", "kernels", "quant", "sim", "templates")


def kept_counted(
    runner: Counts, project: Project, device: str, limits: RunLimits
) -> dict[str, Any]:
    """``runner.counted``, or what it gave before.

    project: unedited (``check_unedited``), so that its manifest decides all that lies in it: text,
    weights, board and latencies.
    """
    manifest = read_bytes(project.folder / MANIFEST)
    key = digest([code_digest(*_ROOMS), manifest, device, circumstances(device)])

    def counted() -> bytes:
        return json.dumps(runner.counted(project, device, limits), allow_nan=False).encode()

    found: dict[str, Any] = json.loads(_STORE.made(key, counted))
    return found
