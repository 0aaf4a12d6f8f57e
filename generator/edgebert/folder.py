"""The files of a text classifier's project that no compiler reads: what a run does, as data."""

from __future__ import annotations

import json
from dataclasses import asdict

from shiftforge.generator.edgebert.sentence import memory_map
from shiftforge.generator.edgebert.sentence_program import ClassifierPlan

__all__ = ["PLAN", "plan_file"]

PLAN = "plan.json"


def plan_file(plan: ClassifierPlan) -> bytes:
    """The RTL's program of a sentence as JSON: its memory map and its commands.

    Addresses count beats of ``beat_bytes``. An ``image`` of ``beats`` is what a run starts from.
    """
    whole = plan.program
    text = {
        "schema": 1,
        "tokens": whole.shape.length,
        "beat_bytes": whole.config.lanes,
        "beats": whole.beats,
        "program": whole.program,
        "results": whole.results,
        "memory": [asdict(region) for region in memory_map(plan)],
        "commands": [
            {"layer": c.layer, "name": c.label, "ideal_cycles": c.ideal_cycles}
            for c in whole.commands
        ],
    }
    return (json.dumps(text, indent=1) + "\n").encode()
