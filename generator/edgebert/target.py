"""An integer ALBERT and a board to a project: kernels, RTL, network, figures."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from shiftforge import __version__
from shiftforge.boards.types import Board
from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.generator.design import Design
from shiftforge.generator.edgebert.area import UnitArea, unit_area
from shiftforge.generator.edgebert.folder import host_values, project_files
from shiftforge.generator.edgebert.kernels import render_edgebert
from shiftforge.generator.edgebert.rtl import rtl_design
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.generator.edgebert.sentence_program import SentencePlan
from shiftforge.generator.edgebert.unit import LANES
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.render import plain_text, render
from shiftforge.generator.rules import check_rules
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.albert.network.storage import storage

__all__ = ["DEVICE", "INTERFACE", "KIND", "NETWORK", "TOKENISER", "albert_design"]

KIND = "albert"
"""What the manifest says of the project."""
INTERFACE = 1
"""Counts changes of the layout: a project runs only with the interface that made it."""
NETWORK, TOKENISER, DEVICE = "network.safetensors", "tokenizer.json", "device/edgebert.cl"


def _board_problems(area: UnitArea, board: Board, lanes: int, fits: list[int]) -> list[Problem]:
    alm, blocks = int(board.alm * board.limits.alm), int(board.ram_blocks * board.limits.ram)
    remedy = "choose a larger board"
    if fits:
        remedy = f"use --lanes {max(fits)}, or " + remedy
    sizes = (("ALMs for the array", area.alm, alm), ("RAM blocks", area.ram_blocks, blocks))
    return [
        Problem(f"{lanes} lanes take {used:,} {what} (modelled), {most:,} are free", remedy,
                board.name)
        for what, used, most in sizes
        if used > most
    ]  # fmt: skip


def _fitting(network: IntegerAlbert, board: Board, lanes: int) -> list[int]:
    """Other lanes that the network and the board take."""
    found = []
    for other in (n for n in LANES if n != lanes):
        try:
            config = choose_unit(network, other).config
        except InputError:
            continue
        if not _board_problems(unit_area(config, board), board, other, []):
            found.append(other)
    return found


def _figures(
    network: IntegerAlbert, unit: UnitDesign, whole: SentencePlan, board: Board, area: UnitArea
) -> dict[str, Any]:
    """What the plan says of the longest sentence, storage, and the modelled area."""
    plan = whole.program
    every = plan_sentence(unit, network, network.length, skip=False).program
    layer = sum(c.ideal_cycles for c in every.commands if c.layer == 0 and c.name in _OF_A_LAYER)
    kept = sum(c.ideal_cycles for c in plan.commands if c.layer == 0 and c.name in _OF_A_LAYER)
    clock = board.clock_mhz_assumed
    return {
        "layer_ideal_cycles": kept,
        "layer_ideal_cycles_all_heads": layer,
        "sentence_ideal_cycles": plan.ideal_cycles,
        "sentence_ideal_cycles_all_heads": every.ideal_cycles,
        "sentence_commands": len(plan.commands),
        "modelled_ms_ideal": round(plan.ideal_cycles / clock / 1e3, 4),
        "clock_mhz_assumed": clock,
        "external_memory_bytes": plan.beats * plan.config.lanes,
        "modelled_array_alm": area.alm,
        "modelled_array_alm_fraction": round(area.alm / board.alm, 4),
        "modelled_array_dsp": area.dsp,
        "modelled_ram_blocks": area.ram_blocks,
        "modelled_ram_fraction": round(area.ram_blocks / board.ram_blocks, 4),
        "modelled_lane_alm": area.lane_alm,
        "commands": dict(Counter(c.name for c in plan.commands)),
        "storage_bytes": storage(network),
    }


_OF_A_LAYER = ("q", "k", "v", "scores", "context", "attention_output", "ffn1", "ffn2")


def _check_rules(source: str) -> None:
    broken = [v for v in check_rules(source, source_name=DEVICE) if v.severity == "error"]
    if broken:
        raise CheckFailed("\n".join(str(v) for v in broken))


def _sizes(network: IntegerAlbert, lanes: int) -> dict[str, Any]:
    weights = network.weights + (f"{network.bits}" if network.weights == "af" else "")
    return {
        "lanes": lanes,
        "weights": weights,
        "layers": network.layers,
        "hidden": network.hidden,
        "heads": network.heads,
        "skipped_heads": list(network.skipped),
        "ffn": network.ffn,
        "embedding": network.words.columns,
        "vocabulary": network.words.shape[0],
        "length": network.length,
        "classes": list(network.classes),
    }


def _texts(
    network: IntegerAlbert, board: Board, figures: dict[str, Any], unit: UnitDesign, tokenised: bool
) -> dict[str, str]:
    kinds = {"af": f"AF<{network.bits},3>", "shift1": "SHIFT4 of one term",
             "shift2": "SHIFT4 of two terms"}  # fmt: skip
    values: dict[str, Any] = {
        **host_values(unit, board),
        "board_title": plain_text(board.title),
        "bsp": board.sdk.bsp,
        "sdk": f"Intel FPGA SDK for OpenCL {board.sdk.edition} {board.sdk.version}",
        "flags": " ".join(board.sdk.flags),
        "classes": ", ".join(plain_text(name) for name in network.classes),
        "sizes": f"{network.layers} layers of {network.hidden} columns, {network.heads} heads, "
        f"{network.ffn} columns between the feed-forward products",
        "length": network.length,
        "lanes": unit.config.lanes,
        "weights": kinds[network.weights],
        "skipped": len(network.skipped),
        "tokenised": tokenised,
        "cycles": f"{figures['sentence_ideal_cycles']:,}",
        "all_heads": f"{figures['sentence_ideal_cycles_all_heads']:,}",
        "memory": f"{figures['external_memory_bytes']:,}",
        "alm": f"{figures['modelled_array_alm']:,}",
        "blocks": f"{figures['modelled_ram_blocks']:,}",
    }
    return {
        "Makefile": render("edgebert/host/Makefile.j2", values),
        "README.md": render("edgebert/host/README.md.j2", values),
    }


def albert_design(
    network: IntegerAlbert,
    data: bytes,
    board: Board,
    *,
    lanes: int = 16,
    tokeniser: str | None = None,
) -> Design:
    """The project of an integer classifier for a board; nothing is written.

    data: the network's file, which goes into the project as it is. tokeniser: text of its
    tokenizer.json. Raises InputError with everything that fits neither unit nor board, CheckFailed
    where the device text breaks a rule of Intel's compiler.
    """
    unit = choose_unit(network, lanes)
    area = unit_area(unit.config, board)
    problems = _board_problems(area, board, lanes, [])
    if problems:
        raise InputError(_board_problems(area, board, lanes, _fitting(network, board, lanes)))
    plan = plan_sentence(unit, network, network.length)
    figures = _figures(network, unit, plan, board, area)
    source = render_edgebert(unit)
    _check_rules(source)
    report = {"kind": KIND, "board": board.name, **_sizes(network, lanes), **figures}
    texts = _texts(network, board, figures, unit, tokeniser is not None)
    files = {
        **rtl_design(unit).files,
        DEVICE: source.encode(),
        NETWORK: data,
        **project_files(unit, network, plan, board),
        "report.json": (json.dumps(report, indent=1, sort_keys=True) + "\n").encode(),
        **{name: text.encode() for name, text in texts.items()},
    }
    if tokeniser is not None:
        files[TOKENISER] = tokeniser.encode()
    manifest = {
        "schema": 1,
        "kind": KIND,
        "interface": f"{__version__}/{KIND}-{INTERFACE}",
        "board": board.name,
        "unit": asdict(unit.config),
        "sfu": asdict(unit.functions),
        "sizes": {NETWORK: len(data)},
        **_sizes(network, lanes),
    }
    design = Design(files, report, manifest)
    return Design(files, {**report, "digest": design.digest}, manifest)
