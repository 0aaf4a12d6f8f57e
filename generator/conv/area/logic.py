"""Items of logic: the array, what feeds it, and what its results go through."""

from __future__ import annotations

import numpy as np

from shiftforge.generator.conv.area.features import Features
from shiftforge.generator.conv.area.items import Item
from shiftforge.generator.conv.area.lanes import ALM_A_LANE
from shiftforge.generator.conv.area.numbers import Figure, alms, divided
from shiftforge.generator.conv.area.table import coefficients, cost, sources
from shiftforge.generator.conv.tables import ENTRIES

__all__ = ["array_items", "post_items", "walking_items"]


def _item(name: str, rows: tuple[str, ...], alm: Figure, dsp: Figure = 0, note: str = "") -> Item:
    return Item(name, alm, 0, dsp, sources(*rows) + note)


def array_items(of: Features) -> list[Item]:
    """The array: lanes, decoders, operands, windows."""
    spared = (32 - of.accumulator_bits) * coefficients()["accumulator"]["luts_bit"] / 9
    found = [
        Item("lanes", of.lanes * (ALM_A_LANE[of.lane] - spared), 0,
             divided(of.lanes, 2) if of.lane[0] == "dsp" else 0,
             "synthesised: bench/results/lane_area.json, by kind; "
             + sources("accumulator")),
        _item("operand multiplexers", ("operands",), of.lanes * _operands(of)),
    ]  # fmt: skip
    if of.largest_bits:
        largest = of.line_bytes * cost("largest", bit=of.largest_bits)
        found.append(_item("largest of words", ("largest",), largest))
    if of.raises:
        raised = of.line_bytes * cost("raised", bit=of.accumulator_bits)
        found.append(_item("sums that move up", ("raised",), raised))
    if of.code_bits == 4:
        found.append(_item("weight decoders", ("decoder",), 9 * of.units * cost("decoder")))
    if of.pointwise:
        # A line of eight channels is what a cycle takes: it is held or replaced, not shifted.
        ring = np.where(of.units > 8, cost("ring", unit=of.units), of.units * cost("select"))
        found.append(
            _item("pointwise rings with barrel shifters", ("ring", "select"), of.places * ring)
        )
    if of.windows:
        window = of.line_bytes * cost("window", place=3)
        found.append(_item("depthwise window", ("window",), window))
    if of.standards:
        row = coefficients()["standard"]
        columns = 3 * of.columns * of.units
        choice = row["luts_column"] + (of.origins - 1) * row["luts_more"]
        held = alms(columns * choice, of.line_bytes * row["ff"] + columns * row["ff_column"])
        found.append(_item("standard windows", ("standard",), held))
    return found


def _operands(of: Features) -> Figure:
    """ALMs of one lane's choice of its operand."""
    row = coefficients()["operands"]
    choices = of.windows + of.standards - (0 if of.pointwise else 1)
    known = row["luts"]
    last = len(known) - 1
    more = max(choices - last, 0) * row["luts_more"]
    return alms(known[min(max(choices, 0), last)] + more, row["ff"])


def post_items(of: Features) -> list[Item]:
    """What follows the convolution, a result or a unit at a time."""
    results = of.line_bytes
    narrow = of.folded and not of.multiplier_requant
    found = _codes(of) if narrow else _wide_codes(of)
    sliced = of.units * of.slice_frames
    if of.residual:
        bits = min(of.residual_bits, 3)
        each = alms(*(coefficients()["add"][kind][bits] for kind in ("luts", "ff")))
        found.append(_item("residual addition", ("add",), sliced * of.slice_columns * each))
    if of.tables:
        # A block's two ports look up two codes: nothing is ever written.
        copies = divided(sliced * of.slice_columns, 2) * of.looked_up
        blocks = copies * of.block.blocks(8, ENTRIES * of.tables)
        alm = sliced * of.slice_columns * of.looked_up * cost("table")
        found.append(Item("tables", alm, blocks, 0, "RAM blocks by shape; " + sources("table")))
    if of.pool_terms:
        terms, bits = sum(of.pool_terms), of.pool_bits
        each = cost("pool_sum", place=of.slice_columns, bit=bits)
        code = cost("pool_code", bit=bits, term=terms, digit=terms * bits)
        # Sums of frames that are not in the slice are turned; a line's codes come in behind others.
        turned = bits / 8 * of.units * (of.frames - of.slice_frames) + of.units * of.frames
        alm = sliced * each + turned * cost("select") + of.pool_units * code
        found.append(_item("global pool", ("pool_sum", "pool_code", "select"), alm))
    if of.direct:
        row = "output" if of.folded else "round"
        each = _rounding(of, row) + of.clamps_output * cost("clamp", bit=32)
        found.append(_item("output of 32 bits", (row, "clamp"), of.output_units * each))
    if of.turned:
        held = results * (1 + of.residual)
        if of.direct:
            held = held + _held_output(of)
        turned = held * cost("select")
        found.append(_item("lines held and turned in post", ("select",), turned))
    return found


def _held_output(of: Features) -> Figure:
    """Bytes of sums that are held until they leave, and of the shifts that turn with them."""
    kept = of.frames * of.held_pixels
    turns = np.asarray(of.output_units) < of.units
    bits = of.raised_bits if of.folded else of.accumulator_bits
    # A single pixel of a single frame leaves as it comes, where all units leave at once.
    sums = np.where(turns | (np.asarray(kept) > 1), of.units * kept * bits, 0)
    return (sums + turns * of.units * of.right_bits) / 8


def _codes(of: Features) -> list[Item]:
    """What makes codes of results: one addition, shift, saturation to nine bits, clamp."""
    each = cost("code", bit=of.raised_bits, right=of.right_bits)
    if not of.floors:
        each = each + coefficients()["code"]["luts_free"]
    own = coefficients()["masks"]
    bits = min(of.right_bits, len(own["luts"]) - 1)
    masks = alms(own["luts"][bits], own["ff"][bits])
    return [
        _item("requantisation", ("code",), of.line_bytes * each),
        _item("masks of requantisation", ("masks",), of.units * masks),
    ]


def _wide_codes(of: Features) -> list[Item]:
    """The same where sums are rounded and clamped as 32-bit integers."""
    results = of.line_bytes
    if of.multiplier_requant:
        row = "requant_multiplier"
        blocks = results * coefficients()[row]["dsp"]
        rounding = _item("requantisation with multipliers", (row,), results * cost(row), blocks)
    else:
        rounding = _item("requantisation", ("round",), results * _rounding(of, "round"))
    return [rounding, _item("activation clamps", ("clamp",), results * cost("clamp", bit=32))]


def _rounding(of: Features, row: str) -> Figure:
    """ALMs of a result's bias and rounding to a 32-bit integer, in proportion to its bits."""
    if of.right_bits == of.left_bits == 0:
        own = coefficients()[row]
        each = alms(own["luts_constant"], own["ff"])
    else:
        each = cost(row, right=of.right_bits, left=of.left_bits)
    return each * of.raised_bits / 32


def walking_items(of: Features) -> list[Item]:
    """Line selection, and everything that counts."""
    found = [
        _item("controller's line selection", ("select",), 2 * of.line_bytes * cost("select")),
    ]
    if of.enlarged:
        enlarged = of.line_bytes * cost("enlarge", choice=of.enlarged)
        found.append(_item("lines that are enlarged", ("enlarge",), enlarged))
    for kernel in ("loader", "feeder", "params", "controller", "conv", "post"):
        found.append(
            _item(f"counters of {kernel}", ("counters", "operation"), _counters(of, kernel))
        )
    if of.held_weight_bytes:
        held = cost("held_weights", byte=of.held_weight_bytes)
        found.append(_item("beats of a weight word", ("held_weights",), held))
    return found


_WORD = 32
"""Bits of the operations whose cost is known; others take their share of it."""


def _counters(of: Features, kernel: str) -> Figure:
    """ALMs of what a kernel counts, each counter in its own bits."""
    each, tables = coefficients()["operation"], coefficients()["counters"]
    bits = {"loop": _WORD, "all": _WORD, **of.counters.get(kernel, {})}
    more: dict[str, float] = {}
    hops: dict[str, float] = {}
    if kernel == "controller":
        further = sum(f"c{k}" in bits for k in (6, 7, 8))
        for times, name in ((of.residual, "skipped"), (further, "further")):
            more = {n: more.get(n, 0) + times * tables[name].get(n, 0) for n in tables[kernel]}
        hops = tables["hops"] if "column" in bits else {}
    elif kernel == "conv":
        more = {name: n * (of.runs - 1) for name, n in tables["runs"].items()}
    luts = flip_flops = 0.0
    for name, (adds, compares, selects, registers) in tables[kernel].items():
        width = bits.get(name, 0) / _WORD
        found = {"add": adds + hops.get(name, 0), "compare": compares,
                 "select": selects + more.get(name, 0)}  # fmt: skip
        luts += width * sum(n * each[kind]["alut"] for kind, n in found.items()) / 2
        flip_flops += width * registers * each["register"]["ff"]
    return alms(luts, flip_flops)
