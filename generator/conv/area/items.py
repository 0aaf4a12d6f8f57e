"""What the area model returns: items by name, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

from shiftforge.generator.conv.area.numbers import Figure

__all__ = ["AreaEstimate", "Item"]


@dataclass(frozen=True)
class Item:
    """A part of the accelerator. alm, ram_blocks, dsp: modelled, 0 or more.

    source: where its figures are from: the compiler's reports, synthesis, or "assumed".
    """

    name: str
    alm: Figure
    ram_blocks: Figure
    dsp: Figure
    source: str


@dataclass(frozen=True)
class AreaEstimate:
    """Modelled use of the device, without the BSP, whose share stands apart.

    items: what the totals consist of. alm_packed: alm with lanes of ALM_A_LANE_PACKED.
    feature_map_blocks: RAM blocks of the feature-map memory. map_bytes: declared words x width of
    all memories and FIFOs that hold map data. alm_a_lane: a lane's own part.
    bsp_alm, bsp_ram: of the board's own logic, as reported or assumed; bsp_source says which.
    """

    alm: int
    alm_packed: int
    dsp: int
    ram_blocks: int
    feature_map_blocks: int
    map_bytes: int
    alm_a_lane: float
    bsp_alm: int
    bsp_ram: int
    bsp_source: str
    items: tuple[Item, ...]
