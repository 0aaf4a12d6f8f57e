"""Registers of the unit: legal values, what is refused, and the manual's table."""

from __future__ import annotations

import pytest

from shiftforge.generator.edgebert.command import register_problems
from shiftforge.generator.edgebert.matmul import plan_matmul
from shiftforge.generator.edgebert.registers import Register, engine_registers, unit_registers
from shiftforge.generator.edgebert.rtl import rtl_design
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import LANES, UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign

CONFIGS = [
    *(UnitConfig(lanes=n) for n in LANES),
    UnitConfig(lanes=4, weights="shift", terms=2, max_tiles=4096),
    UnitConfig(lanes=2, weights="shift", attention="none", a_buffer=1024, aux_buffer=1024),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_legal_values_fit_their_bits(config: UnitConfig) -> None:
    for register in unit_registers(config):
        low, high = register.limits
        assert low <= high and low % register.step == high % register.step == 0, register
        most = 1 << register.width
        if register.signed:
            low, high = low + most // 2, high + most // 2
        assert low >= 0 and high < most, register
        low, high = register.limits
        assert all(register.takes(value) for value in (low, high, register.usual))


@pytest.mark.parametrize("name", [r.name for r in engine_registers(CONFIGS[0])])
def test_values_beyond_their_limits_are_refused(name: str) -> None:
    config = UnitConfig(lanes=4, max_tiles=256)
    registers = engine_registers(config)
    good = plan_matmul(config, (20, 30, 40)).registers
    values = {**good, "out_bias": 0}
    assert register_problems(registers, values, "product") == []
    register = next(r for r in registers if r.name == name)
    low, high = register.limits
    for bad in {low - 1, high + 1, low + 1 if register.step > 1 else low - 1} - {register.usual}:
        (problem,) = register_problems(registers, {**values, name: bad}, "product")
        assert problem.where == "product" and name in problem.what and str(bad) in problem.what
        assert f"{low} to {high}" in problem.remedy


def test_an_unused_register_takes_its_usual_value() -> None:
    register = Register("x", 8, "something", (), 0, (8, 16), 8)
    assert [value for value in range(-8, 40) if register.takes(value)] == [0, 8, 16]
    signed = Register("y", 3, "something", signed=True)
    assert [value for value in range(-9, 9) if signed.takes(value)] == list(range(-4, 4))


@pytest.mark.parametrize("sfu", [None, SfuConfig(4)], ids=["engine", "unit"])
def test_the_manual_has_every_register_with_its_limits(sfu: SfuConfig | None) -> None:
    config = UnitConfig(lanes=4)
    text = rtl_design(UnitDesign(config, sfu)).files["rtl/REGISTERS.md"].decode()
    registers = engine_registers(config) if sfu is None else unit_registers(config)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row[1] for row in rows] == [r.name for r in registers]
    for word, (row, register) in enumerate(zip(rows, registers, strict=True)):
        low, high = register.limits
        assert row[0] == f"| {word}" and row[2] == str(register.width)
        numbers = [int(part.replace(",", "")) for part in row[3].split() if part[-1].isdigit()]
        assert numbers[0] == low and numbers[-1] == high
        assert row[4] == f"{register.usual:,}"
    assert "Reset: none of these registers has one" in text
