"""A text classifier's sizes against the unit, before anything is calibrated or converted.

The program of its longest sentence is planned with numbers of no meaning: what no unit can run is
refused by the planner's own rules, in the words that ``generate`` has for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shiftforge.boards.types import Board
from shiftforge.errors import Problem, Problems
from shiftforge.generator.board_fit import Estimate, device_uses, fit_problems
from shiftforge.generator.checking import CheckReport, CheckRow
from shiftforge.generator.edgebert.area import unit_area
from shiftforge.generator.edgebert.encoder import BIASED, LayerNumbers, LayerShape
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.options import Options
from shiftforge.generator.edgebert.sentence import choose_layer_unit, lane_problems
from shiftforge.generator.edgebert.sentence_program import (
    EMBEDDED,
    SentenceNumbers,
    SentencePlan,
    plan_commands,
)
from shiftforge.generator.edgebert.unit_design import UnitDesign

__all__ = ["TextDraft", "check_sizes"]

_LARGER = "choose fewer --lanes, or a larger board"
# Which row of the report a planner's problem belongs to, by its place.
_ROW_OF = {
    "shape": "attention",
    "tokens": "attention",
    "lanes": "attention",
    "columns": "layer norm",
    "sfu": "embeddings",
    "embedding": "embeddings",
    "classes": "off-ramps",
}


@dataclass(frozen=True)
class TextDraft:
    """A text classifier before conversion: its sizes, as ``quant.albert`` names them.

    length: tokens of the longest sentence. classes: how many. weights: "af", "shift1", "shift2".
    """

    name: str
    length: int
    hidden: int
    heads: int
    ffn: int
    layers: int
    embedding: int
    classes: int = 2
    weights: Literal["af", "shift1", "shift2"] = "af"

    @property
    def shape(self) -> LayerShape:
        """Of one encoder layer."""
        return LayerShape(self.length, self.hidden, self.heads, self.ffn)


def check_sizes(draft: TextDraft, board: Board | None, options: Options) -> CheckReport:
    """What of a classifier a unit can run, and whether the unit fits on a board.

    Never raises for the classifier; the report holds what is wrong.
    """
    problems = Problems()
    if draft.layers < 1:
        problems.append(Problem(f"{draft.layers} layers", "use 1 or more", "shape"))
    problems += lane_problems(draft.shape, options.lanes)
    plan: SentencePlan | None = None
    unit: UnitDesign | None = None
    if not problems:
        unit = problems.check(_unit, draft, options.lanes)
    if unit is not None:
        plan = problems.check(_dry_plan, unit, draft)
    figures: dict[str, Any] = {}
    if plan is not None and unit is not None and board is not None:
        area = unit_area(unit.config, board)
        uses = device_uses(board, area.alm, area.dsp, area.ram_blocks, (_LARGER,) * 3)
        problems += fit_problems(Estimate(board, uses))
        cycles, clock = plan.program.ideal_cycles, board.clock_mhz_assumed
        figures = {
            "lanes": options.lanes,
            "sentence_ideal_cycles": cycles,
            "modelled_ms_ideal": round(cycles / clock / 1e3, 4),
            "external_memory_bytes": plan.program.beats * options.lanes,
            "modelled_array_alm": area.alm,
            "modelled_ram_blocks": area.ram_blocks,
        }
    found = tuple(dict.fromkeys(problems))
    return CheckReport(
        kind="edgebert",
        network=draft.name,
        rows=_rows(draft, options.lanes, found),
        problems=found,
        board=None if board is None else board.name,
        figures=figures,
    )


def _unit(draft: TextDraft, lanes: int) -> UnitDesign:
    weights: dict[str, Any] = {"weights": "af"}
    if draft.weights != "af":
        weights = {"weights": "shift", "terms": 1 if draft.weights == "shift1" else 2}
    return choose_layer_unit(lanes, draft.shape, **weights)


def _dry_plan(unit: UnitDesign, draft: TextDraft) -> SentencePlan:
    """The longest sentence's program, with every exponent bias 0. Raises InputError."""
    layers = [LayerNumbers(dict.fromkeys(BIASED, 0)) for _ in range(draft.layers)]
    numbers = SentenceNumbers(
        draft.embedding,
        draft.classes,
        dict.fromkeys(EMBEDDED, 0),
        [0] * draft.layers,
        NormNumbers(),
    )
    return plan_commands(unit, draft.shape, layers, numbers)


def _rows(draft: TextDraft, lanes: int, problems: tuple[Problem, ...]) -> tuple[CheckRow, ...]:
    length, hidden, heads = draft.length, draft.hidden, draft.heads
    width = hidden // heads if heads else 0
    parts: Mapping[str, tuple[str, tuple[int, ...]]] = {
        "embeddings": (f"{draft.embedding} columns to {hidden}", (length, hidden)),
        "attention": (f"{heads} heads of {width} columns", (length, hidden)),
        "layer norm": (f"rows of {hidden}", (length, hidden)),
        "feed-forward": (f"{hidden} to {draft.ffn} to {hidden} columns", (length, hidden)),
        "off-ramps": (f"{draft.layers}, of {draft.classes} classes", (1, draft.classes)),
    }
    rows = []
    for name, (operator, shape) in parts.items():
        own = tuple(p for p in problems if _ROW_OF.get(p.where, "") == name)
        maps = None if problems else f"unit of {lanes} lanes"
        rows.append(CheckRow(name, "albert", operator, shape, maps, "", own))
    return tuple(rows)
