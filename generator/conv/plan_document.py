"""A plan as JSON: plan.json of a project, and the figures of `generate --json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shiftforge.generator.board_fit import board_facts
from shiftforge.generator.conv.bounds import layer_bound
from shiftforge.generator.conv.counters import counter_fields
from shiftforge.generator.conv.latencies import bytes_per_cycle
from shiftforge.generator.conv.plan import Plan, area_estimate

__all__ = ["plan_json", "plan_totals"]


def plan_json(plan: Plan) -> str:
    """A plan as JSON, identical for identical input."""
    data: dict[str, Any] = {**asdict(plan), "area": asdict(plan.area)}
    data["latencies"] = plan.latencies.to_dict()
    data["bytes_per_cycle"] = bytes_per_cycle(plan.board)
    data["board"] = plan.board.name
    data["device"] = asdict(board_facts(plan.board))
    data["uses"] = [asdict(use) for use in area_estimate(plan).uses]
    data["bounds"] = [layer_bound(plan.steps, layer) for layer in plan.layers]
    data["totals"] = plan_totals(plan)
    data["records"] = {name: own.to_dict() for name, own in plan.packings.items()}
    data["counters"] = counter_fields(plan.counters)
    return json.dumps(data, indent=1, sort_keys=True, default=str) + "\n"


def plan_totals(plan: Plan) -> Mapping[str, Any]:
    """The figures of a plan that `generate --json` tells, without the digest."""
    return {
        "board": plan.board.name,
        "network": plan.network,
        "lanes": plan.array.lanes,
        "units": plan.array.units,
        "pixels": plan.array.pixels,
        "frames": plan.array.frames,
        "unit": plan.array.unit,
        "terms": 2 if any(k for layer in plan.layers for _, k in layer.words) else 1,
        "f": round(plan.second_terms, 4),
        "one_term_cycles": plan.one_term_cycles,
        "second_term_cycles": plan.second_term_cycles,
        "controller": "non-blocking" if plan.non_blocking else "blocking",
        "multiplier_free": plan.array.unit == "shift" and not plan.multiplier_requant,
        "macs": plan.macs,
        "ideal_cycles": plan.ideal_cycles,
        "modelled_cycles": plan.modelled_cycles,
        "clock_mhz": plan.board.clock_mhz_assumed,
        "modelled_fps": round(plan.modelled_fps, 2),
        "batch_latency_ms": round(plan.batch_latency_ms, 3),
        "ideal_utilisation": round(plan.share(plan.ideal_cycles), 4),
        "utilisation": round(plan.utilisation, 4),
        "steps": len(plan.steps),
        "buffer_bytes": plan.buffer_bytes,
        "bound_bytes": plan.memory.lower_bound_lines * plan.array.line_bytes,
        "symmetric_bytes": plan.symmetric_bytes,
        "symmetric_residual_bytes": plan.memory.symmetric_residual_lines * plan.array.line_bytes,
        "modelled_alm": plan.area.alm,
        "modelled_alm_fraction": round(plan.area.alm / plan.board.alm, 4),
        "modelled_ram_blocks": plan.area.ram_blocks,
        "alm": plan.area.alm,
        "alm_fraction": round(plan.area.alm / plan.board.alm, 4),
        "ram_blocks": plan.area.ram_blocks,
        "ram_fraction": round(plan.area.ram_blocks / plan.board.ram_blocks, 4),
        "bsp_alm": plan.area.bsp_alm,
        "bsp_ram": plan.area.bsp_ram,
        "map_bytes": plan.area.map_bytes,
        "through_memory": sorted(plan.through.bases),
        "ddr_bytes_per_frame": round(plan.traffic_bytes / plan.array.frames),
        "area": [asdict(item) for item in plan.area.items],
    }
