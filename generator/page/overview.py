"""The first part of a page: what a design gives, and what it takes."""

from __future__ import annotations

from shiftforge.generator.page.blocks import Block, Card, Cards, Section
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.figures import Figure, Mark, figure

__all__ = ["COUNTED", "PERFORMANCE", "clock_mark", "overview", "use_cards"]

PERFORMANCE = "estimate_network_performance.json#"
COUNTED = "counted_network_performance.json#"


def clock_mark(documents: Documents, counted: bool) -> Mark:
    """Of figures that depend on the kernel clock."""
    source = COUNTED if counted else PERFORMANCE
    clock = figure(documents, f"{source}/clock_mhz", "number", "MHz")
    return Mark("counted" if counted else "modelled", clock, "at", "assumed")


def overview(documents: Documents) -> Section:
    """Rates, latency, cycles and utilisation, counted where there was a run; what it takes."""
    counted = documents.has(f"{COUNTED}/cycles")
    blocks: list[Block] = [Cards((*_time(documents, counted), *_space(documents)))]
    return Section("overview", "At a glance", "", tuple(blocks))


def _time(documents: Documents, counted: bool) -> tuple[Card, ...]:
    mark = clock_mark(documents, counted)
    names = ("fps", "latency_ms", "cycles") if counted else (
        "modelled_fps", "batch_latency_ms", "modelled_cycles")  # fmt: skip
    source = COUNTED if counted else PERFORMANCE

    def of(name: str, form: str, unit: str = "") -> Figure:
        return figure(documents, f"{source}/{name}", form, unit)

    beside = (("modelled", figure(documents, f"{PERFORMANCE}/modelled_fps", "tenths", "fps")),)
    cycles = (("modelled", figure(documents, f"{PERFORMANCE}/modelled_cycles", "count")),)
    ideal = (("all lanes busy", figure(documents, f"{PERFORMANCE}/ideal_cycles", "count")),)
    share = of("utilisation", "share")
    return (
        Card("Frames a second", of(names[0], "tenths"), mark, beside=beside if counted else ()),
        Card("Latency of a frame", of(names[1], "milli", "ms"), mark),
        Card("Cycles a frame", of(names[2], "count"), mark, beside=(*(cycles if counted else ()),
             *ideal)),
        Card("Lanes at work", share, mark, "multiply-accumulates over cycles and lanes",
             meter=share),
    )  # fmt: skip


def use_cards(documents: Documents) -> tuple[Card, ...]:
    """What a design takes of the board."""
    mark, cards = Mark("modelled"), []
    resources = "estimate_layer_resources.json#/uses"
    for number, use in enumerate(documents.at(resources)):
        of = f"{resources}/{number}"
        share = figure(documents, f"{of}/share", "share")
        beside = (
            ("used", figure(documents, f"{of}/amount", "count")),
            ("of the device's", figure(documents, f"{of}/device", "count")),
        )
        cards.append(Card(use["name"], share, mark, beside=beside, meter=share))
    return tuple(cards)


def _space(documents: Documents) -> tuple[Card, ...]:
    maps = figure(documents, f"{PERFORMANCE}/buffer_bytes", "count", "bytes")
    whole = figure(documents, f"{PERFORMANCE}/symmetric_bytes", "count", "bytes")
    card = Card("Feature maps on chip", maps, Mark("modelled"), beside=(("double buffer", whole),))
    return (*use_cards(documents), card)
