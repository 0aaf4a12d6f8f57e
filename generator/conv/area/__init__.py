"""Area model of a planned accelerator: every part by name, each with the source of its figures.

``features_of`` takes the numbers that matter from a plan; ``area_items`` makes items of them, of
numbers or elementwise of arrays; ``estimate_area`` adds them up. Coefficients and their sources
are in coefficients.toml; bench/conv/area_referee.py holds them against reports of whole kernels.
"""

from __future__ import annotations

from shiftforge.generator.conv.area.features import (
    Access,
    Features,
    Fifo,
    Memory,
    Multipliers,
    lane_kind,
)
from shiftforge.generator.conv.area.items import AreaEstimate, Item
from shiftforge.generator.conv.area.lanes import ALM_A_LANE, ALM_A_LANE_PACKED
from shiftforge.generator.conv.area.model import area_items, estimate_area
from shiftforge.generator.conv.area.planned import features_of
from shiftforge.generator.conv.area.table import Block
from shiftforge.generator.conv.area.traffic import fifo_item, map_bytes, memory_item

__all__ = [
    "ALM_A_LANE", "ALM_A_LANE_PACKED", "Access", "AreaEstimate", "Block", "Features", "Fifo",
    "Item", "Memory", "Multipliers", "area_items", "estimate_area", "features_of", "lane_kind",
    "fifo_item", "map_bytes", "memory_item",
]  # fmt: skip
