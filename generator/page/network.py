"""The network: its diagram, and its layers with their weights."""

from __future__ import annotations

from shiftforge.generator.page.blocks import Picture, Section, Table, columns_of, rows_of
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.graph import draw_network

__all__ = ["network"]

_SOURCE = "network.json#/convolutions"
_COLUMNS = columns_of(
    ("Layer", "name", "name"),
    ("Operator", "op", "text"),
    ("Output", "shape", "shape"),
    ("Weights", "weights", "count"),
    ("Format", "format", "text"),
    ("Two terms", "two_terms", "share"),
    ("Zeros", "zeros", "share"),
    ("SQNR, dB", "weight_sqnr_db", "tenths"),
    ("Module", "source", "name"),
)


def network(documents: Documents) -> Section:
    """Every node as a diagram, every convolution as a row."""
    picture = Picture(
        "diagram", "The integer graph", draw_network(documents.at("network.json#")),
        "network.json#/nodes", "Shapes are channels × rows × columns.",
    )  # fmt: skip
    table = Table(
        "layers", "Layers with weights", _COLUMNS, rows_of(documents, _SOURCE, _COLUMNS),
        note="Two terms: share of the layer's weights that are a sum of two powers of two. SQNR: "
        "of the weights alone, against those of the float network.",
    )  # fmt: skip
    lead = "What was captured from the float network, as integers."
    return Section("network", "Network", lead, (picture, table))
