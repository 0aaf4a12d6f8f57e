"""The parts of a text classifier's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shiftforge.generator.page.accuracy import PAIRS
from shiftforge.generator.page.blocks import (
    Block,
    Card,
    Cards,
    Chart,
    Column,
    Missing,
    Picture,
    Section,
    Table,
    columns_of,
    rows_of,
)
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.figures import Mark, figure, ran_mark
from shiftforge.generator.page.graph import draw_network
from shiftforge.generator.page.overview import COUNTED, PERFORMANCE, clock_mark, use_cards
from shiftforge.generator.page.space import USES
from shiftforge.generator.page.times import loops_table
from shiftforge.generator.page.vega import LABEL, NARROW, WIDE, draw, labelled

__all__ = ["text_sections"]

_ACCURACY = "accuracy.json#"
_STAGES = "estimate_layer_cycles.json#/stages"
_TITLES = {"uj": "µJ"}
_STORAGE = columns_of(
    ("Part", "name", "text"),
    ("Bit masks, bytes", "mask", "count"),
    ("Values, bytes", "values", "count"),
    ("All values, bytes", "dense", "count"),
    ("Zeros", "zeros", "share"),
)
_SPANS = columns_of(
    ("Head", "head", "count"), ("Reach, tokens", "reach", "count"), ("Off", "off", "yes")
)
_SENTENCES = columns_of(
    ("Text", "text", "words"),
    ("Label", "label", "text"),
    ("Probability", "probability", "milli"),
    ("Exit layer", "exit_layer", "count"),
    ("Entropy, nats", "entropy", "milli"),
    ("Tokens", "tokens", "count"),
)
_COMMANDS = columns_of(
    ("Command", "name", "name"),
    ("Runs", "runs", "count"),
    ("Cycles", "cycles", "count"),
    ("Array busy", "busy", "count"),
)
_ROUTED = columns_of(
    ("Block", "block", "text"),
    ("Lanes", "n", "count"),
    ("LUT cells", "comb", "count"),
    ("Flip-flops", "ff", "count"),
    ("Multipliers", "dsp", "count"),
    ("RAM blocks", "ram", "count"),
    ("Highest clock, MHz", "fmax_mhz", "tenths"),
)
_MODELLED = columns_of(
    ("Stage", "name", "name"),
    ("Commands", "commands", "count"),
    ("Ideal cycles", "cycles", "count"),
)


def text_sections(documents: Documents, missing: Mapping[str, Missing]) -> tuple[Section, ...]:
    """Overview, network, accuracy with exits, time and space."""
    return (
        _overview(documents),
        _network(documents),
        _accuracy(documents, missing),
        _time(documents, missing),
        _space(documents),
    )


def _overview(documents: Documents) -> Section:
    def of(name: str, form: str, unit: str = "") -> Any:
        return figure(documents, f"{PERFORMANCE}/{name}", form, unit)

    clock, mark = clock_mark(documents, False), Mark("modelled")
    cards = [
        Card("Longest sentence, all layers", of("modelled_ms_ideal", "milli", "ms"), clock,
             "products alone"),
        Card("Cycles of its products", of("sentence_ideal_cycles", "count"), clock,
             beside=(("with every head", of("sentence_ideal_cycles_all_heads", "count")),)),
        Card("Weights and tables", of("storage_bytes", "count", "bytes"), mark),
        Card("Heads off", of("heads_off", "count"), mark, beside=(("of", of("heads", "count")),)),
        *use_cards(documents),
    ]  # fmt: skip
    if documents.has(f"{_ACCURACY}/average_exit_layer"):
        ran = ran_mark(documents, f"{_ACCURACY}/samples", "measured", "on", "text")
        exits = figure(documents, f"{_ACCURACY}/average_exit_layer", "hundredths")
        cards.append(Card("Average exit layer", exits, ran))
        if documents.has(f"{_ACCURACY}/top1"):
            cards.append(Card("Labels right", figure(documents, f"{_ACCURACY}/top1", "share"), ran))
    if documents.has(f"{COUNTED}/cycles"):
        ran = ran_mark(documents, f"{COUNTED}/samples", "counted", "on the RTL,", "text")
        ideal = figure(documents, f"{COUNTED}/ideal_cycles", "count")
        unit = figure(documents, f"{COUNTED}/unit_uj", "tenths", "µJ")
        cards += [
            Card("Cycles of the RTL", figure(documents, f"{COUNTED}/cycles", "count"), ran,
                 beside=(("of products", ideal),)),
            Card("Energy of all texts", figure(documents, f"{COUNTED}/energy_uj", "tenths", "µJ"),
                 Mark("modelled", behind="on the RTL's counters"), beside=(("unit alone", unit),)),
            Card("Array at work", figure(documents, f"{COUNTED}/utilisation", "share"), ran),
        ]  # fmt: skip
    return Section("overview", "At a glance", "", (Cards(tuple(cards)),))


def _network(documents: Documents) -> Section:
    mark = Mark("measured", behind="in the model")

    def table(id: str, title: str, columns: tuple[Column, ...], note: str) -> Table:
        rows = rows_of(documents, f"network.json#/{id}", columns)
        return Table(id, title, columns, rows, mark, note)

    picture = Picture(
        "diagram", "A layer, from the words to its off-ramp",
        draw_network(documents.at("network.json#")), "network.json#/nodes",
        "Rows × columns of what each stage gives. All layers are this one, run again.",
    )  # fmt: skip
    storage = table("storage", "Weights as they are stored", _STORAGE,
                    "A bit a weight says whether it is there; zeros are not stored.")  # fmt: skip
    spans = table("spans", "Attention spans", _SPANS, "How far a head looks; all layers share it.")
    return Section("network", "Network", "An ALBERT encoder in integers, with an off-ramp a layer.",
                   (picture, storage, spans))  # fmt: skip


def _accuracy(documents: Documents, missing: Mapping[str, Missing]) -> Section:
    blocks: list[Block] = []
    if not documents.has(f"{_ACCURACY}/pairs"):
        blocks += [missing["accuracy"]] if "accuracy" in missing else []
    else:
        mark = ran_mark(documents, f"{_ACCURACY}/samples", "measured", "on", "text")
        rows = rows_of(documents, f"{_ACCURACY}/pairs", PAIRS)
        sentences = rows_of(documents, f"{_ACCURACY}/sentences", _SENTENCES)
        blocks += [
            Table("chain", "From the reference to each device", PAIRS, rows, mark),
            _bars(documents, "exits", "Texts by the layer that they leave at",
                  f"{_ACCURACY}/exits", "layer", "texts", "layer {layer}: {texts:,} texts", mark),
            Table("sentences", "Texts", _SENTENCES, sentences, mark, folded=True),
        ]  # fmt: skip
    lead = "The same texts in the reference and on each device, and where they leave."
    return Section("accuracy", "Accuracy and exits", lead, tuple(blocks))


def _time(documents: Documents, missing: Mapping[str, Missing]) -> Section:
    blocks: list[Block] = []
    clock = clock_mark(documents, False)
    commands = f"{COUNTED}/commands"
    if documents.has(commands):
        mark = ran_mark(documents, f"{COUNTED}/samples", "counted", "on the RTL,", "text")
        blocks += [
            _bars(documents, "commands", "Cycles of the RTL by stage", commands, "name", "cycles",
                  "{name}: {cycles:,} cycles, array busy {busy:,}", mark),
            Table("command-cycles", "Cycles of the RTL by stage", _COMMANDS,
                  rows_of(documents, commands, _COMMANDS), mark, folded=True),
        ]  # fmt: skip
    elif "rtl" in missing:
        blocks.append(missing["rtl"])
    if documents.has(f"{COUNTED}/energy"):
        volts = figure(documents, f"{COUNTED}/energy_volts", "number")
        mark = Mark("modelled", volts, "on counters of the RTL, at", "V")
        blocks.append(
            _bars(documents, "energy", "Energy of all texts, by part", f"{COUNTED}/energy", "name",
                  "uj", "{name}: {uj:,.3f} µJ", mark)
        )  # fmt: skip
    routed = "routed_blocks.json#/blocks"
    if documents.has(routed):
        part = figure(documents, f"{routed}/0/part", "text")
        blocks.append(
            Table("routed", "Blocks of the unit, placed and routed", _ROUTED,
                  rows_of(documents, routed, _ROUTED), Mark("routed", part, "on a Lattice"),
                  "A block by itself, between registers at every port; a dash is one that does "
                  "not fit.")
        )  # fmt: skip
    if "routed" in missing:
        blocks.append(missing["routed"])
    blocks += [
        _bars(documents, "stages", "Cycles of the products, longest sentence", _STAGES, "name",
              "cycles", "{name}: {cycles:,} cycles", clock),
        Table("stage-cycles", "Cycles of the products by stage", _MODELLED,
              rows_of(documents, _STAGES, _MODELLED), clock, folded=True),
        loops_table(documents),
    ]  # fmt: skip
    return Section("time", "Time", "Stages of a sentence, heads and layers together.",
                   tuple(blocks))  # fmt: skip


def _space(documents: Documents) -> Section:
    source = "estimate_layer_resources.json#/uses"
    table = Table("resources", "The unit in OpenCL against the board", USES,
                  rows_of(documents, source, USES), Mark("modelled"))  # fmt: skip
    return Section("space", "Space", "", (table,))


def _bars(
    documents: Documents, id: str, title: str, source: str, name: str, value: str, label: str,
    mark: Mark,
) -> Chart:  # fmt: skip
    held = labelled(documents.at(source), label)
    spec: dict[str, Any] = {
        "height": {"step": 22},
        "mark": {"type": "bar", "height": 15},
        "encoding": {
            "y": {"field": name, "type": "nominal", "sort": None, "title": None},
            "x": {
                "field": value,
                "type": "quantitative",
                "title": _TITLES.get(value, value),
                "axis": {"tickMinStep": 1},
            },
            "description": {"field": LABEL},
        },
    }
    return Chart(id, title, draw(spec, held, WIDE), draw(spec, held, NARROW), source, label, mark)
