"""The energy model: parts, scaling with voltage, counters that are not of the program."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.command import command_beats
from shiftforge.generator.edgebert.encoder import BIASED, LayerNumbers, LayerShape
from shiftforge.generator.edgebert.energy.dvfs import OperatingPoint
from shiftforge.generator.edgebert.energy.energy import (
    SentenceCost,
    UnitPower,
    Work,
    cost_at,
    layer_works,
    planned_work,
    unit_power,
)
from shiftforge.generator.edgebert.energy.unit_energy import (
    HOROWITZ_45,
    MODELS,
    SCALE_16,
    TAMBE_16,
    EnergyModel,
    array_energy,
    command_traffic,
    function_energy,
)
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.sentence_program import (
    SentenceNumbers,
    SentencePlan,
    plan_commands,
)
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign

CONFIG = UnitConfig()
NOMINAL = OperatingPoint(0.8, 1e9)
SLOW = OperatingPoint(0.5, 0.486e9)
LAYERS = 3


@dataclass(frozen=True)
class Row:
    """Counters of one command."""

    layer: int
    name: str
    start: int
    end: int
    busy: int
    gated: int = 0


def plan() -> SentencePlan:
    """Three layers of 64 columns, 32 tokens, without a threshold."""
    biases = dict.fromkeys(("word", "place", "embedded", "embedding_norm", "input"), 0)
    numbers = SentenceNumbers(64, 5, biases, [0] * LAYERS, NormNumbers())
    layers = [LayerNumbers(dict.fromkeys(BIASED, 0)) for _ in range(LAYERS)]
    return plan_commands(
        UnitDesign(CONFIG, SfuConfig(lanes=16)), LayerShape(32, 64, 4, 256), layers, numbers
    )


def counters(extra: int = 100) -> list[Row]:
    """Every command takes its array cycles and ``extra`` more."""
    rows, at = [], 0
    for command in plan().program.commands:
        end = at + command.ideal_cycles + extra
        rows.append(Row(command.layer, command.label, at, end, command.ideal_cycles))
        at = end
    return rows


def works(rows: list[Row] | None = None, **settings: tuple[int, int]) -> tuple[Work, ...]:
    """The works of a run."""
    commands = plan().program.commands
    return layer_works(CONFIG, HOROWITZ_45, commands, rows or counters(), **settings)


def total(parts: tuple[Work, ...]) -> Work:
    """All layers."""
    return sum(parts, Work())


def test_every_coefficient_names_its_source() -> None:
    for model in MODELS.values():
        names = {f.name for f in fields(model) if isinstance(getattr(model, f.name), float)}
        named = set(model.sources())
        assert names - {"node_nm"} == named - {"mac"}
        assert ("mac" in named) == bool(model.mac)
    assert "assumed" in HOROWITZ_45.sources()["leakage_share"]
    assert "46.9 fJ" in TAMBE_16.sources()["mac"]
    assert TAMBE_16.buffer_byte == pytest.approx(1.25 * 16 / 45 * (8 / 9) ** 2)
    assert pytest.approx(0.281, abs=1e-3) == SCALE_16
    with pytest.raises(InputError, match="add_bit"):
        EnergyModel(add_bit=-1)


def test_the_published_mac_is_what_the_array_takes() -> None:
    assert sum(array_energy(CONFIG, TAMBE_16).values()) == pytest.approx(256 * 0.0469)
    for config in (UnitConfig(lanes=32), UnitConfig(weights="shift", terms=2)):
        with pytest.raises(InputError, match="horowitz-45"):
            array_energy(config, TAMBE_16)


def test_a_gated_cycle_takes_what_still_moves() -> None:
    rows = counters()
    parts = array_energy(CONFIG, HOROWITZ_45)
    cycle = sum(parts.values()) / 1000
    busy = sum(row.busy for row in rows)
    assert total(works()).array == pytest.approx(busy * cycle)
    gated = [replace(row, gated=row.busy // 2) for row in rows]
    halved = total(works(gated))
    spent = (busy - sum(row.gated for row in gated)) * cycle
    for row, command in zip(gated, plan().program.commands, strict=True):
        # A tile of B in 16 rows; the first and the last K-step, which may be one.
        depth = command.registers["k_tiles"] * command.registers["passes"]
        ends = 1.0 if depth <= 2 else 2 / depth
        left = parts["products"] / 16 + ends * parts["accumulators"]
        spent += row.gated * left / 1000
    assert halved.array == pytest.approx(spent)
    assert 0.5 * busy * cycle < halved.array < 0.55 * busy * cycle
    assert replace(halved, array=0) == replace(total(works()), array=0)


def test_works_add_up_to_the_program() -> None:
    parts = works()
    assert len(parts) == LAYERS
    assert total(parts).cycles == counters()[-1].end
    whole = total(parts)
    moved = [command_traffic(c.registers, 16) for c in plan().program.commands]
    dense = sum(t.fetched + t.stored for t in moved)
    dense += 16 * len(moved) * command_beats(CONFIG)
    joules = whole.external / HOROWITZ_45.external_byte + whole.embeddings / 162.5
    assert joules * 1000 == pytest.approx(dense)
    assert parts[0].embeddings > 0 and parts[1].embeddings == parts[2].embeddings == 0
    # Word and place codes, 32 x 64 each, with masks, descriptors and the norm's table.
    assert 1 <= parts[0].embeddings * 1000 / 162.5 / (2 * 32 * 64) < 1.4
    assert parts[1] == parts[2]


def test_measured_beats_replace_the_dense_traffic() -> None:
    whole = total(works())
    moved = [command_traffic(c.registers, 16) for c in plan().program.commands]
    reads = sum(t.fetched for t in moved) // 16 + len(moved) * command_beats(CONFIG)
    writes = sum(t.stored for t in moved) // 16
    assert total(works(beats=(int(reads), int(writes)))).external == pytest.approx(whole.external)
    half = total(works(beats=(int(reads) // 2, int(writes) // 2)))
    assert half.external == pytest.approx(whole.external / 2, rel=1e-2)
    assert half.buffers < whole.buffers and half.array == whole.array


def test_energy_grows_with_cycles() -> None:
    power = unit_power(CONFIG, HOROWITZ_45, NOMINAL)
    costs = [cost_at(total(works(counters(e))), power, NOMINAL) for e in (0, 100, 1000)]
    assert [c.time_us for c in costs] == sorted(c.time_us for c in costs)
    assert costs[0].unit < costs[1].unit < costs[2].unit
    assert costs[0].array == costs[2].array and costs[0].external == costs[2].external
    assert costs[0].leakage < costs[2].leakage and costs[0].clock < costs[2].clock


def test_a_planned_layer_costs_what_its_counters_would() -> None:
    commands = [c for c in plan().program.commands if c.layer == 1]
    own = planned_work(CONFIG, HOROWITZ_45, commands, works()[1].cycles)
    for f in fields(Work):
        assert getattr(own, f.name) == pytest.approx(getattr(works()[1], f.name))


def check_scaling(slow: SentenceCost, fast: SentenceCost) -> None:
    """Dynamic parts with V^2, leakage with V over the longer time, memory outside unchanged."""
    square = (SLOW.voltage / NOMINAL.voltage) ** 2
    for name in ("array", "buffers", "functions", "clock"):
        assert getattr(slow, name) == pytest.approx(square * getattr(fast, name)), name
    stretch = NOMINAL.frequency / SLOW.frequency
    assert slow.time_us == pytest.approx(stretch * fast.time_us), "time_us"
    leakage = SLOW.voltage / NOMINAL.voltage * stretch * fast.leakage
    assert slow.leakage == pytest.approx(leakage), "leakage"
    assert (slow.embeddings, slow.external) == (fast.embeddings, fast.external)


def test_voltage_scales_the_unit_and_not_the_memory_outside() -> None:
    power = unit_power(CONFIG, HOROWITZ_45, NOMINAL)
    fast, slow = (cost_at(works()[1], power, point) for point in (NOMINAL, SLOW))
    check_scaling(slow, fast)
    assert sum(slow.parts().values()) == slow.total
    assert slow.unit + slow.external + slow.embeddings == pytest.approx(slow.total)
    for name in ("array", "clock", "leakage", "external"):
        with pytest.raises(AssertionError):
            check_scaling(replace(slow, **{name: getattr(fast, name) * 1.01}), fast)


def test_leakage_is_its_share_and_a_linear_regulator_loses_the_rest() -> None:
    power = unit_power(CONFIG, HOROWITZ_45, NOMINAL)
    assert power.leakage_mw == pytest.approx(0.1 * power.cycle_nj * 1e9 * 1e-6)
    work = works()[1]
    kept = unit_power(CONFIG, HOROWITZ_45, NOMINAL, supply=0.8)
    assert cost_at(work, kept, NOMINAL).regulator == 0
    lossless, linear = cost_at(work, power, SLOW), cost_at(work, kept, SLOW)
    assert linear.unit == pytest.approx(lossless.unit * 0.8 / 0.5)
    with pytest.raises(InputError, match="supply"):
        unit_power(CONFIG, HOROWITZ_45, NOMINAL, supply=0.7)
    assert isinstance(power, UnitPower)


def test_functions_cost_their_elements() -> None:
    by_name = {c.name: c for c in plan().program.commands}
    costs = {n: function_energy(CONFIG, c.registers, HOROWITZ_45) for n, c in by_name.items()}
    assert costs["q"] == costs["off_ramp"] == 0
    # 32 x 64 elements of a norm, 32 x 32 of a head's softmax, 32 x 256 of GELU.
    norm = by_name["embedding_norm"].registers
    assert (norm["length"], norm["m_tiles"]) == (64, 2)
    again = function_energy(CONFIG, {**norm, "length": 128}, HOROWITZ_45)
    assert again == pytest.approx(2 * costs["embedding_norm"])
    assert costs["embedding_norm"] > 0
    per_gelu = 85 * 0.003125 + 64 * 0.003125
    gelu = next(v for n, v in costs.items() if n == "ffn1" or n == "gelu")
    assert gelu == pytest.approx(32 * 256 * per_gelu)


def test_counters_of_another_program_are_refused() -> None:
    rows = counters()
    rows[3] = replace(rows[3], name="other")
    rows[5] = replace(rows[5], gated=rows[5].busy + 1)
    with pytest.raises(InputError) as error:
        works(rows)
    assert len(error.value.problems) == 2 and "other" in str(error.value)
    with pytest.raises(InputError, match="give those of one run"):
        works([*counters(), *counters()])
