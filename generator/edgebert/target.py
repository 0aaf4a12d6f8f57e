"""The EdgeBERT unit as a target: an integer ALBERT and a board to kernels, RTL and figures."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from shiftforge import __version__
from shiftforge.boards.types import Board
from shiftforge.errors import InputError
from shiftforge.generator.board_fit import Estimate, board_facts, device_uses, fit_problems
from shiftforge.generator.checking import CheckReport
from shiftforge.generator.design import Design, TextRules
from shiftforge.generator.edgebert.area import UnitArea, unit_area
from shiftforge.generator.edgebert.check import TextDraft, check_sizes
from shiftforge.generator.edgebert.documents import text_documents
from shiftforge.generator.edgebert.folder import host_values, project_files
from shiftforge.generator.edgebert.kernels import render_edgebert
from shiftforge.generator.edgebert.options import Options
from shiftforge.generator.edgebert.pipelining import unit_exceptions
from shiftforge.generator.edgebert.rtl import rtl_design
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.generator.edgebert.sentence_program import SentencePlan
from shiftforge.generator.edgebert.unit import LANES
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.render import render
from shiftforge.quant.albert.network.file import Package, load_package
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.albert.network.storage import storage

__all__ = ["DEVICE", "INTERFACE", "KIND", "NETWORK", "TARGET", "TOKENISER", "EdgebertTarget"]

KIND = "edgebert"
INTERFACE = f"{__version__}/{KIND}-3"
"""The number counts changes of the layout: a project runs only with the interface that made it."""
NETWORK, TOKENISER, DEVICE = "network.safetensors", "tokenizer.json", "device/edgebert.cl"
_LARGER = "choose a larger board"


def _estimate(area: UnitArea, board: Board, remedy: str) -> Estimate:
    uses = device_uses(board, area.alm, area.dsp, area.ram_blocks, (remedy, remedy, remedy))
    return Estimate(board, uses)


def _fitting(network: IntegerAlbert, board: Board, lanes: int) -> list[int]:
    """Other lanes that the network and the board take."""
    found = []
    for other in (n for n in LANES if n != lanes):
        try:
            config = choose_unit(network, other).config
        except InputError:
            continue
        if not fit_problems(_estimate(unit_area(config, board), board, "")):
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
        "board_title": board.title,
        "sdk": f"Intel FPGA SDK for OpenCL {board.sdk.edition} {board.sdk.version}",
        "flags": board.sdk.flags,
        "classes": ", ".join(network.classes),
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


def _report_file(report: dict[str, Any], board: Board, estimate: Estimate) -> bytes:
    """The figures of ``generate --json``, the board's, and what was held against it."""
    whole = {
        **report,
        "device": asdict(board_facts(board)),
        "uses": [asdict(x) for x in estimate.uses],
    }
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True, eq=False)
class UnitPlan:
    """A network's file and the unit that runs it. sentence: the longest one's program; figures: of
    it, modelled."""

    package: Package
    data: bytes
    board: Board
    unit: UnitDesign
    sentence: SentencePlan
    area: UnitArea
    figures: dict[str, Any]


class EdgebertTarget:
    """ALBERT text classifiers on the EdgeBERT processing unit."""

    kind = KIND
    options = Options
    interface = INTERFACE

    def load(self, file: Path) -> tuple[Package, bytes]:
        """The network, and its file as it goes into the project. Raises InputError."""
        return load_package(file), file.read_bytes()

    def plan(self, network: tuple[Package, bytes], board: Board, options: Options) -> UnitPlan:
        """See ``Target``. Raises InputError where the lanes do not suit the network's heads."""
        package, data = network
        own = package.network
        unit = choose_unit(own, options.lanes)
        area = unit_area(unit.config, board)
        if area.dsp:
            unit = replace(unit, config=replace(unit.config, multipliers="blocks"))
        sentence = plan_sentence(unit, own, own.length)
        figures = _figures(own, unit, sentence, board, area)
        return UnitPlan(package, data, board, unit, sentence, area, figures)

    def check(self, draft: TextDraft, board: Board | None, options: Options) -> CheckReport:
        """See ``Checks``."""
        return check_sizes(draft, board, options)

    def estimate(self, plan: UnitPlan) -> Estimate:
        """See ``Target``."""
        estimate = _estimate(plan.area, plan.board, _LARGER)
        if not fit_problems(estimate):
            return estimate
        fits = _fitting(plan.package.network, plan.board, plan.unit.config.lanes)
        remedy = f"use --lanes {max(fits)}, or {_LARGER}" if fits else _LARGER
        return _estimate(plan.area, plan.board, remedy)

    def emit(self, plan: UnitPlan) -> Design:
        """See ``Target``."""
        network, tokeniser = plan.package.network, plan.package.tokeniser
        sizes = _sizes(network, plan.unit.config.lanes)
        report = {"kind": KIND, "board": plan.board.name, **sizes, **plan.figures}
        texts = _texts(network, plan.board, plan.figures, plan.unit, tokeniser is not None)
        files = {
            **rtl_design(plan.unit).files,
            DEVICE: render_edgebert(plan.unit).encode(),
            NETWORK: plan.data,
            **project_files(plan.unit, network, plan.sentence, plan.board),
            "report.json": _report_file(report, plan.board, self.estimate(plan)),
            **{name: text.encode() for name, text in texts.items()},
        }
        if tokeniser is not None:
            files[TOKENISER] = tokeniser.encode()
        manifest = {
            "interface": INTERFACE,
            "board": plan.board.name,
            "unit": asdict(plan.unit.config),
            "sfu": asdict(plan.unit.functions),
            **sizes,
        }
        rules = TextRules(pipelining=True, exceptions=unit_exceptions(plan.unit))
        return Design(files, report, manifest, rules)

    def documents(self, folder: Path) -> dict[str, Any]:
        """See ``Reports``."""
        return text_documents(folder, load_package(folder / NETWORK).network)


TARGET = EdgebertTarget()
