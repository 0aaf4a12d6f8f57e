"""The area model: every part of an accelerator by name (modelled, not placed)."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from shiftforge.generator.conv.area.features import Features
from shiftforge.generator.conv.area.items import AreaEstimate, Item
from shiftforge.generator.conv.area.lanes import ALM_A_LANE, ALM_A_LANE_PACKED
from shiftforge.generator.conv.area.logic import array_items, post_items, walking_items
from shiftforge.generator.conv.area.traffic import (
    FEATURE_MAPS,
    bsp_share,
    kernel_items,
    map_bytes,
    traffic_items,
)

__all__ = ["area_items", "estimate_area"]


def area_items(features: Features) -> tuple[Item, ...]:
    """All items, without the BSP. Numbers of the features that are arrays make arrays."""
    return (
        *array_items(features),
        *post_items(features),
        *walking_items(features),
        *traffic_items(features),
        *kernel_items(features),
    )


def estimate_area(features: Features) -> AreaEstimate:
    """The area of one accelerator."""
    items = tuple(
        replace(item, alm=ceil(item.alm), ram_blocks=int(item.ram_blocks), dsp=int(item.dsp))
        for item in area_items(features)
    )
    alm = sum(item.alm for item in items)
    packed = features.lanes * (ALM_A_LANE[features.lane] - ALM_A_LANE_PACKED[features.lane])
    bsp_alm, bsp_ram, bsp_source = bsp_share(features)
    return AreaEstimate(
        alm=alm,
        alm_packed=alm - round(packed),
        dsp=sum(item.dsp for item in items),
        ram_blocks=sum(item.ram_blocks for item in items),
        feature_map_blocks=next(i.ram_blocks for i in items if i.name == FEATURE_MAPS),
        map_bytes=int(map_bytes(features)),
        alm_a_lane=ALM_A_LANE[features.lane],
        bsp_alm=bsp_alm,
        bsp_ram=bsp_ram,
        bsp_source=bsp_source,
        items=items,
    )
