"""A clocked run's figures as the JSON files beside a page."""

from __future__ import annotations

from typing import Any

from shiftforge.sim.conv.clocked.losses import BUSY, GAP
from shiftforge.sim.conv.clocked.report import SCALES
from shiftforge.sim.results import Emulation

__all__ = ["counted_documents"]

_WORDS = {BUSY: "busy", GAP: "drained, entering again"}
_SUFFIX = {"half": "_at_half_latency", "declared": "", "double": "_at_double_latency"}
_LISTS = ("layers", "strips", "busy", "stalls", "channel_fill", "losses", "predictions")


def counted_documents(found: Emulation) -> dict[str, Any]:
    """What ``emulate --clocked --json`` tells, laid out in rows. stops: the strips in which the
    array did nothing."""
    facts = found.to_dict()
    cycles = facts["cycles"]
    kernels = [
        {
            "kernel": kernel,
            "busy": busy,
            "share": busy / cycles,
            "stalled": sum(facts["stalls"][kernel].values()),
            "by": ", ".join(f"{name}" for name in facts["stalls"][kernel]) or "nothing",
        }
        for kernel, busy in facts["busy"].items()
    ]
    rates = [
        {
            "latencies": scale,
            "cycles": facts[f"cycles{_SUFFIX[scale]}"],
            "fps": facts[f"fps{_SUFFIX[scale]}"],
            "utilisation": facts[f"utilisation{_SUFFIX[scale]}"],
            "steady": facts["steady"][scale],
        }
        for scale in SCALES
    ]
    channels = [
        {"name": name, **own, "share": own["high_water"] / own["depth"]}
        for name, own in facts["channel_fill"].items()
    ]
    strips = [
        {**row, "state": _WORDS.get(row["state"], f"stopped by {row['state']}")}
        for row in facts["strips"]
    ]
    layers = {"figures": "counted", "clock_mhz": facts["clock_mhz"], "layers": facts["layers"]}
    single = {name: value for name, value in facts.items() if name not in _LISTS}
    return {
        "counted_layer_cycles.json": {
            **layers,
            "strips": strips,
            "stops": [row for row in strips if row["state"] != _WORDS[BUSY]],
        },
        "counted_network_performance.json": {
            "figures": "counted",
            **single,
            "rates": rates,
            "kernels": kernels,
            "channels": channels,
            "losses": [{**one, "share": one["cycles"] / cycles} for one in facts["losses"]],
        },
    }
