"""Items of memory and of what moves words: RAM, FIFOs, loads and stores, kernels."""

from __future__ import annotations

import numpy as np

from shiftforge.generator.conv.area.features import Access, Features, Fifo, Memory
from shiftforge.generator.conv.area.items import Item
from shiftforge.generator.conv.area.numbers import Figure, alms
from shiftforge.generator.conv.area.table import coefficients, cost, mlab_alms, sources

__all__ = ["FEATURE_MAPS", "bsp_share", "fifo_item", "kernel_items", "map_bytes", "memory_item",
           "traffic_items"]  # fmt: skip

FEATURE_MAPS = "feature-map memory"


def traffic_items(of: Features) -> list[Item]:
    """Memories, FIFOs, loads and stores, in the order of the features."""
    return [
        *(memory_item(of, memory) for memory in of.memories),
        *(fifo_item(of, fifo) for fifo in of.fifos),
        *(_access_item(of, access) for access in of.accesses),
    ]


def memory_item(of: Features, memory: Memory) -> Item:
    """An array with one read and one write port: RAM blocks or MLABs, and its two accesses."""
    ports = cost("local_load", bit=memory.bits) + cost("local_store", bit=memory.bits)
    small = memory.words <= coefficients()["memory"]["words"]
    return Item(
        memory.name,
        memory.used * (np.where(small, mlab_alms(memory.bits), 0) + ports),
        memory.used * np.where(small, 0, of.block.blocks(memory.bits, memory.words)),
        0,
        "RAM blocks by shape; " + sources("memory", "local_load", "local_store"),
    )


def fifo_item(of: Features, fifo: Fifo) -> Item:
    """A channel: MLABs to 32 words, RAM blocks beyond."""
    shallow = cost("fifo_mlab", beside=mlab_alms(fifo.bits), bit=fifo.bits)
    deep = cost("fifo_ram", bit=fifo.bits)
    fits = fifo.depth <= coefficients()["fifo_mlab"]["words"]
    return Item(
        f"FIFO {fifo.name}",
        np.where(fits, shallow, deep),
        np.where(fits, 0, of.block.blocks(fifo.bits, fifo.depth)),
        0,
        sources("fifo_mlab", "fifo_ram"),
    )


def _access_item(of: Features, access: Access) -> Item:
    name = "store" if access.stores else "load"
    row = "load_cyclone" if name == "load" and of.family == "Cyclone V" else name
    alm, ram = cost(row, bit=access.bits), coefficients()[row]["ram"]
    return Item(f"{name} {access.name}", alm, ram, 0, sources(row))


def kernel_items(of: Features) -> list[Item]:
    """What every kernel has beside its own text, and the interconnect to global memory."""
    row = coefficients()["kernel"]
    wired = "interconnect_cyclone" if of.family == "Cyclone V" else "interconnect"
    wires = coefficients()[wired]
    blocks = 3 * (row["blocks_walking"] + row["blocks_streaming"])
    blocks = blocks + of.movers * row["blocks_moving"]
    # Every bank is read on its own; what is written goes to all of them.
    bits = sum(a.bits for a in of.accesses) + sum((m.used + 1) * m.bits for m in of.memories)
    bits = bits + of.record_bits
    state = cost("kernel", block=blocks, bit=bits)
    stores = sum(access.stores for access in of.accesses)
    wire = cost(wired, store=stores, access=len(of.accesses))
    return [
        Item("dispatch", (6 + of.movers) * cost("dispatch"), 0, 0, sources("dispatch")),
        Item("states of kernels", state, 0, 0, sources("kernel")),
        Item("global interconnect", wire, wires["ram"], 0, sources(wired)),
    ]


def bsp_share(of: Features) -> tuple[int, int, str]:
    """ALMs and RAM blocks of the board's own logic, and where they are from."""
    rows = coefficients()["bsp"]
    row = rows.get(of.board, rows[of.family.lower().replace(" ", "_")])
    return round(alms(row["alut"] / 2, row["ff"])), row["ram"], row["source"]


def map_bytes(of: Features) -> Figure:
    """Declared words x width of everything on chip that holds map data, in bytes."""
    memories = sum(m.banks * m.words * m.bits for m in of.memories if m.maps)
    return (memories + sum(f.depth * f.bits for f in of.fifos if f.maps)) // 8
