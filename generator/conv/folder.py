"""The files around the device text: Makefile, host program, description."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from shiftforge import __version__
from shiftforge.generator.channel import EMULATION_DEPTH
from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.plan import Plan
from shiftforge.generator.render import render
from shiftforge.generator.sdk import emulator_platform

__all__ = ["INTERFACE", "KERNELS", "THROUGH_KERNELS", "kernel_names", "render_project"]

INTERFACE = 11
"""Counts changes of kernel arguments and data layout: the runtime runs only its own designs."""

KERNELS = ("loader", "feeder", "params", "controller", "conv", "post")
THROUGH_KERNELS = ("fetch", "store")
"""More of them, where maps lie in global memory."""


def kernel_names(through: bool) -> tuple[str, ...]:
    """All kernels of a text. through: maps lie in global memory."""
    return (*KERNELS, *THROUGH_KERNELS) if through else KERNELS


def render_project(plan: Plan, data: Mapping[str, bytes]) -> dict[str, str]:
    """Texts by path: Makefile, host/host.py and README.md of a design folder.

    data: the files ``data/*.bin`` by path, whose lengths the host program knows.
    """
    board = plan.board
    kernels = kernel_names(bool(plan.fetches))
    depths = [f"-DSF_DEPTH_{c.name}={EMULATION_DEPTH}" for c in plan.channels]
    values: dict[str, Any] = {
        "version": __version__,
        "network": plan.network,
        "board_title": board.title,
        "bsp": board.sdk.bsp,
        "sdk": f"Intel FPGA SDK for OpenCL {board.sdk.edition} {board.sdk.version}",
        "flags": board.sdk.flags,
        "emulator_flags": board.sdk.emulator_flags,
        "emulator_platform": emulator_platform(board.sdk.edition, board.sdk.version),
        "data_sizes": [(PurePath(path).stem, len(content)) for path, content in data.items()],
        "depth_flags": " ".join(depths),
        "depth_options": depths,
        "kernels": kernels,
        "kernel_count": len(kernels),
        "through": bool(plan.fetches),
        "memory_bytes": plan.through.lines * power_of_two(plan.array.line_bytes),
        "units": plan.array.units,
        "pixels": plan.array.pixels,
        "frames": plan.array.frames,
        "lanes": f"{plan.array.lanes:,}",
        "lane_note": "" if plan.array.unit == "shift" else " (multipliers)",
        "modelled_cycles": f"{plan.modelled_cycles:,}",
        "utilisation": f"{plan.utilisation:.1%}",
        "clock": f"{board.clock_mhz_assumed:g}",
        "fps": f"{plan.modelled_fps:,.1f}",
        "latency": f"{plan.batch_latency_ms:.3f}",
        "buffer_bytes": f"{plan.buffer_bytes:,}",
        "symmetric_bytes": f"{plan.symmetric_bytes:,}",
    }
    return {
        "Makefile": render("conv/host/Makefile.j2", values),
        "host/host.py": render("conv/host/host.py.j2", values),
        "README.md": render("conv/host/README.md.j2", values),
    }
