"""What sentences cost that ran on the RTL: modelled energy from its counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shiftforge.generator.edgebert.energy.energy import (
    NOMINAL_45,
    SentenceCost,
    cost_at,
    layer_works,
    unit_power,
)
from shiftforge.generator.edgebert.energy.unit_energy import HOROWITZ_45
from shiftforge.generator.edgebert.sentence import plan_sentence
from shiftforge.sim.edgebert.samples import TextSamples

if TYPE_CHECKING:
    from shiftforge.sim.edgebert.sentence_rtl import RtlSentence

__all__ = ["run_energy"]


def run_energy(samples: TextSamples, runs: Sequence[RtlSentence | None]) -> dict[str, Any]:
    """Energy of all sentences in uJ, by part, at the nominal voltage of 45 nm, for JSON.

    runs: of each sentence, None where the RTL left no result.
    """
    design, network = samples.own.design, samples.own.network
    power = unit_power(design.config, HOROWITZ_45, NOMINAL_45)
    total = SentenceCost()
    for ids, run in zip(samples.texts.ids, runs, strict=True):
        if run is None:
            continue
        plan = plan_sentence(design, network, len(ids), samples.limit)
        beats = run.reads, run.writes
        commands = plan.program.commands
        for work in layer_works(design.config, HOROWITZ_45, commands, run.commands, beats):
            total += cost_at(work, power, NOMINAL_45)
    parts = [{"name": name, "uj": nj / 1e3} for name, nj in total.parts().items() if nj]
    return {
        "energy_model": HOROWITZ_45.name,
        "energy_volts": NOMINAL_45.voltage,
        "energy_clock_mhz": NOMINAL_45.frequency / 1e6,
        "energy_uj": total.total / 1e3,
        "unit_uj": total.unit / 1e3,
        "energy": parts,
    }
