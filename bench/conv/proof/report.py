"""The table of the proofs: one row a network, whatever became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.common.records import Record
from bench.conv.proof_networks.catalogue import NETWORKS

__all__ = ["FLOAT_ERROR", "kept", "report", "row"]

FLOAT_ERROR = 1e-6
"""Of capture against torch in float64, as a share of the largest value of an output."""
_RUNS = {"run pocl": "pocl", "run intel-fpga-emu": "emulator"}
_STAGES = ("float", "quantised", "exported", *_RUNS, "clocked")
_PLANNED = ("units", "pixels", "frames", "modelled_cycles", "utilisation", "alm", "alm_fraction",
            "ram_blocks", "ram_fraction", "map_bytes", "through_memory", "clock_mhz")  # fmt: skip
"""Of the report of ``generate``."""


def row(name: str, found: Mapping[str, Any]) -> Record:
    """The figures of a network's records (``Proofs.prove``), and its faults in words."""
    proof = NETWORKS[name]
    plans: Mapping[str, Record] = found.get("plans", {})
    board = next((b for b, p in plans.items() if p.get("refused") == ""), "")
    return {
        "network": name,
        "side": proof.side,
        "published": {
            "parameters": proof.parameters, "macs": proof.macs, "source": proof.source
        },
        **{stage: found.get(stage, {"failed": "not run"}) for stage in _STAGES},
        "refused": {
            b: p.get("failed") or p["refused"] for b, p in plans.items() if b != board
        },
        "plan": kept(board, plans[board]) if board else {},
        "faults": _faults(found, board),
    }  # fmt: skip


def kept(board: str, plan: Record) -> Record:
    """What the results keep of a design's report."""
    return {"board": board, **{name: plan[name] for name in _PLANNED if name in plan}}


def _faults(found: Mapping[str, Any], board: str) -> list[str]:
    told = []
    for stage in _STAGES:
        record = found.get(stage, {})
        if record.get("failed") and record["failed"] != "not run":
            told.append(f"{stage}: {record['failed']}")
        if record.get("mismatches"):
            told.append(f"{stage}: {record['mismatches']:,} values differ, first {record['first']}")
    errors = found.get("float", {})
    if errors.get("capture", 0.0) > FLOAT_ERROR:
        own = f"{errors['capture']:.1e} of the largest output"
        told.append(f"capture: {own}; torch's own float32 loses {errors['torch_float32']:.1e}")
    plans = found.get("plans", {})
    if plans and not board and all(p.get("failed") != "not run" for p in plans.values()):
        told.append("no board has room")
    return told


def report(rows: Sequence[Record]) -> str:
    """Markdown."""
    lines = [
        "# Networks from torch to counted cycles", "",
        "Made by `python bench/conv/proof_table.py`. Weights are random, of one power of two each,",
        "in the first and last layer, too; batch norm is settled; a frame is blurred noise.",
        "Published figures are in brackets; their sources stand in",
        "`bench/conv/proof_networks/catalogue.py`.", "",
        "## In float, and in ONNX Runtime", "",
        *_table(
            ("network", "input", "parameters", "MACs", "capture", "torch float32",
             "ONNX Runtime, float", "ONNX Runtime, QDQ", "SQNR"),
            [_float_cells(own) for own in rows],
        ), "",
        "Errors are the largest difference in an output, as a share of its largest value: of the",
        "captured graph in float64 and of torch's own float32 against torch in float64, of ONNX",
        "Runtime on the float export against the captured graph. QDQ: values of all tensors that",
        "equal the reference's. SQNR of the outputs against the float network's, in dB.", "",
        "## On the accelerator", "",
        *_table(
            ("network", "board", "array", "ALMs", "RAM blocks", "lowered (PoCL)", "emulator",
             "cycles", "utilisation", "fps", "lost most to"),
            [_device_cells(own) for own in rows],
        ), "",
        "The board is the smallest that has room, of " + _boards() + ". Devices: values of all",
        "stored maps that equal the reference's. Cycles are counted on the text itself, of a",
        "frame between others, at the plan's latencies (~: successive frames differ a little).",
        "ALMs and RAM blocks are modelled, the clock is the board's assumed one. Utilisation is",
        "all multiply-accumulates through cycles x lanes. What is lost is a share of a frame's",
        "cycles.", "",
    ]  # fmt: skip
    lines += _refusals(rows)
    return "\n".join(lines)


def _boards() -> str:
    from bench.conv.proof.runs import BOARDS

    return ", ".join(BOARDS)


def _refusals(rows: Sequence[Record]) -> list[str]:
    told = [
        f"- {own['network']}, {board}: {why}"
        for own in rows
        for board, why in own["refused"].items()
        if why != "not run"
    ]
    told += [f"- {own['network']}: {fault}" for own in rows for fault in own["faults"]]
    return ["## What was refused or failed", "", *(told or ["Nothing."]), ""]


def _float_cells(own: Record) -> list[str]:
    found, published = own["float"], own["published"]
    cells = [own["network"], f"{own['side']}x{own['side']}"]
    if found.get("failed"):
        cells += [_why(found)] + [""] * 4
    else:
        for kind, unit in (("parameters", 1e6), ("macs", 1e6)):
            stated = f" ({published[kind] / unit:,.2f} M)" if published[kind] else ""
            cells.append(f"{found[kind] / unit:,.2f} M{stated}")
        cells += [f"{found[k]:.1e}" for k in ("capture", "torch_float32", "onnx_float")]
    sqnr = own["quantised"].get("sqnr_db")
    return [*cells, _equal(own["exported"]), "" if sqnr is None else f"{sqnr:.1f}"]


def _device_cells(own: Record) -> list[str]:
    plan, counted = own["plan"], own["clocked"]
    if not plan:
        why = _why(own["quantised"]) if own["quantised"].get("failed") else "not run"
        if "no board has room" in own["faults"]:
            why = "no board has room"
        return [own["network"], why, *[""] * 9]
    cells = [
        own["network"], plan["board"], f"{plan['units']}x{plan['pixels']}",
        f"{plan['alm']:,} ({plan['alm_fraction']:.0%})",
        f"{plan['ram_blocks']:,} ({plan['ram_fraction']:.0%})",
        *(_equal(own[stage]) for stage in _RUNS),
    ]  # fmt: skip
    if counted.get("failed"):
        return [*cells, _why(counted), "", "", ""]
    lost = "; ".join(f"{x['name']} {x['share']:.0%}" for x in counted["losses"][:2])
    cycles = f"{'' if counted['steady'] else '~'}{counted['cycles']:,}"
    rates = f"{counted['utilisation']:.1%}", f"{counted['fps']:,.1f}"
    return [*cells, cycles, *rates, lost]


def _equal(record: Record) -> str:
    if record.get("failed"):
        return _why(record)
    if record["mismatches"]:
        return f"{record['mismatches']:,} of {record['values']:,} differ"
    return f"all {record['values']:,}"


def _why(record: Record) -> str:
    return "not run" if record["failed"] == "not run" else "failed, see below"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(own)} |" for own in rows)]
