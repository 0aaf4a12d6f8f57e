"""Programs of encoder layers: memory map, registers, limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.command import Memory, Tensor, command_beats
from shiftforge.generator.edgebert.encoder import BIASED, LayerNumbers, LayerPlan, LayerShape
from shiftforge.generator.edgebert.encoder_program import plan_layer, plan_layers, tiles_needed
from shiftforge.generator.edgebert.matmul import MatmulOptions, plan_matmul
from shiftforge.generator.edgebert.norm import NormNumbers, norm_registers
from shiftforge.generator.edgebert.registers import engine_registers, unit_registers
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import LANES, UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.golden.edgebert.layernorm import norm_constants

ALBERT = LayerShape()
SMALL = LayerShape(13, 32, 2, 48)
NUMBERS = LayerNumbers(dict.fromkeys(BIASED, -4))


def numbers(**biases: int) -> LayerNumbers:
    return LayerNumbers({**NUMBERS.biases, **biases})


def small(**changes: Any) -> UnitConfig:
    return UnitConfig(lanes=4, **changes)


def plan(shape: LayerShape = SMALL, what: LayerNumbers = NUMBERS, **changes: Any) -> LayerPlan:
    return plan_layer(UnitDesign(small(**changes), SfuConfig(lanes=4)), shape, what)


def told(error: pytest.ExceptionInfo[InputError]) -> str:
    return str(error.value)


def regions(made: LayerPlan) -> Iterator[tuple[int, int]]:
    """First beat and length of everything in memory."""

    def tensor(t: Tensor) -> Iterator[tuple[int, int]]:
        yield t.desc, t.strips
        yield t.base, t.strips * t.pitch

    lanes, shape = made.config.lanes, made.shape
    yield made.program, len(made.commands) * command_beats(made.config)
    for weights in made.place.weights.values():
        yield from tensor(weights)
    for name, at in made.place.tables.items():
        size = shape.length if name.startswith("span") else shape.hidden
        yield at, 6 * -(-size // lanes)
    for index, layer in enumerate(made.layers):
        sizes = {"scores": shape.length, "context": shape.width, "ffn1": shape.ffn}
        for name, at in layer.params.items():
            yield at, 5 * -(-sizes.get(name, shape.hidden) // lanes)
        for name, t in layer.tensors.items():
            if name != "input" or index == 0:
                yield from tensor(t)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("weights", ["af", "shift"])
def test_albert_base_on_every_unit(lanes: int, weights: Any) -> None:
    most = 256
    while most < tiles_needed(lanes, ALBERT):
        most *= 2
    config = UnitConfig(lanes=lanes, weights=weights, max_tiles=most)
    made = plan_layer(UnitDesign(config, SfuConfig(lanes=lanes)), ALBERT, NUMBERS)
    macs = 128 * (4 * 768 * 768 + 2 * 768 * 3072)
    attention = 2 * 12 * 128 * 128 * 64
    split = 5 if weights == "shift" else 1
    assert made.ideal_cycles == (macs + split * attention) // lanes**2
    assert len(made.commands) == 32
    names = [r.name for r in unit_registers(config)]
    for command in made.commands:
        assert list(command.registers) == names
        for register in unit_registers(config):
            assert 0 <= command.registers[register.name] < 1 << register.width
    assert [c.registers["stop"] for c in made.commands] == [0] * 31 + [1]


@pytest.mark.parametrize("spans", [False, True])
def test_nothing_lies_on_anything_else(spans: bool) -> None:
    layers = [replace(NUMBERS, spans=spans)] * 3
    made = plan_layers(UnitDesign(small(), SfuConfig(lanes=4)), SMALL, layers)
    used = sorted(regions(made))
    end = 0
    for first, count in used:
        assert first == end and count > 0
        end = first + count
    assert end == made.beats
    written = {t.base for layer in made.layers for n, t in layer.tensors.items() if n != "input"}
    assert min(written) > made.results > made.program


def test_layers_follow_each_other() -> None:
    layers = [numbers(input=-5, norm2=-3), numbers(input=-3, norm2=-2), numbers(input=-2)]
    design = UnitDesign(small(), SfuConfig(lanes=4))
    made = plan_layers(design, SMALL, layers)
    assert len(made.commands) == 36
    for before, after in zip(made.layers, made.layers[1:], strict=False):
        assert after.tensors["input"] == before.tensors["norm2"]
    assert [c.registers["stop"] for c in made.commands] == [0] * 35 + [1]
    assert made.ideal_cycles == 3 * plan_layer(design, SMALL, layers[0]).ideal_cycles
    shared = plan_layers(design, SMALL, layers, apart=False)
    assert shared.layers[2].tensors["q"] == shared.layers[0].tensors["q"]
    assert shared.layers[2].tensors["norm2"] != shared.layers[1].tensors["norm2"]
    assert shared.beats < made.beats
    with pytest.raises(InputError, match="input of exponent bias -4 after a layer that gives -3"):
        plan_layers(design, SMALL, [numbers(norm2=-3), NUMBERS])


def test_registers_of_the_attention() -> None:
    made = plan(weights="shift", terms=2)
    here = made.layers[0].tensors
    scores, context = (
        next(c.registers for c in made.commands if c.name == name and c.head == 1)
        for name in ("scores", "context")
    )
    assert (scores["passes"], scores["b_codes"], scores["func"]) == (3, 1, 2)
    assert scores["a_base"] == here["q"].base + here["q"].part_pitch
    assert scores["b_desc"] == here["k"].desc + 4
    assert (scores["f_rows"], scores["length"]) == (0, 13)
    assert context["a_base"] == scores["c_base"]
    assert context["b_base"] == here["vt"].base + 4 * here["vt"].pitch
    assert context["c_desc"] == here["context"].desc + 4
    output = next(c.registers for c in made.commands if c.name == "attention_output")
    assert (output["a_parts"], output["part_rows"], output["k_stride"]) == (2, 16, 32)
    assert (output["passes"], output["b_codes"]) == (1, 0)
    norm = made.commands[-1].registers
    assert (norm["b_codes"], norm["passes"], norm["n_tiles"], norm["p_load"]) == (1, 1, 1, 0)
    assert norm["a_bias"] == 128 - 4


def test_skipped_heads_have_no_command() -> None:
    made = plan(what=replace(NUMBERS, spans=True, skipped=frozenset({0})))
    assert [c.head for c in made.commands if c.head is not None] == [1, 1]
    assert len(made.commands) == 10
    scores = next(c.registers for c in made.commands if c.name == "scores")
    assert scores["f_base"] == made.place.tables["span 1"] and scores["f_rows"] == 4


def test_the_long_tensor_is_cut_so_that_storing_hides() -> None:
    made = plan_layer(UnitDesign(UnitConfig(), SfuConfig()), ALBERT, NUMBERS)
    ffn1 = next(c.registers for c in made.commands if c.name == "ffn1")
    assert ffn1["c_slots"] >= 2 * ffn1["group"] and ffn1["b_passes"] == 1
    whole = plan_layer(UnitDesign(UnitConfig(), SfuConfig()), ALBERT, NUMBERS, gelu_parts=1)
    ffn1 = next(c.registers for c in whole.commands if c.name == "ffn1")
    assert (ffn1["c_slots"], ffn1["group"], ffn1["b_passes"]) == (2, 2, 4)


@pytest.mark.parametrize(
    "length", [2, 3, 32, 127, 255, 256, 257, 768, 1000, 1024, 3071, 4095, 4096]
)
def test_norm_constants_are_the_reference_ones(length: int) -> None:
    for fraction, epsilon in ((10, "1e-12"), (6, 1e-5), (16, "1e-8")):
        got = norm_registers(length, fraction, NormNumbers(12, epsilon))
        want = norm_constants(length, fraction, epsilon)
        assert got == {
            "length": want.size,
            "recip": want.reciprocal,
            "len_bits": want.size_bits,
            "root": want.root,
            "root_shift": want.root_shift,
            "epsilon": want.epsilon,
            "gamma_frac": 12,
        }


def test_bad_norms() -> None:
    with pytest.raises(InputError) as error:
        norm_registers(5000, 16, NormNumbers(16, 1e6))
    assert len(error.value.problems) == 3
    with pytest.raises(InputError, match="fraction bits of gamma"):
        plan(what=replace(NUMBERS, norm1=NormNumbers(20)))


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        (LayerShape(0, 32, 2, 64), "at least 1"),
        (LayerShape(8, 33, 2, 64), "2 heads in 33 columns"),
        (LayerShape(8, 64, 2, 64), "power of 4"),
        (LayerShape(8, 8, 2, 64), "multiples of the lanes and of 8"),
        (LayerShape(600, 32, 2, 64), "600 tokens"),
        (LayerShape(8, 2048, 32, 64), "2048 columns"),
        (LayerShape(8, 32, 2, 2048), "512 strips, the unit takes 256"),
    ],
)
def test_bad_shapes(shape: LayerShape, what: str) -> None:
    with pytest.raises(InputError) as error:
        plan(shape)
    assert what in told(error)
    assert all(problem.remedy for problem in error.value.problems)


def test_all_problems_at_once() -> None:
    with pytest.raises(InputError) as error:
        plan_layer(
            UnitDesign(small(weights="shift", attention="none"), SfuConfig(lanes=8)),
            LayerShape(600, 64, 2, 64),
            LayerNumbers({**NUMBERS.biases, "ffn2": 14, "norm1": -3, "q": 99}),
        )
    for what in (
        "power of 4",
        "function unit differ",
        "no product of two activations",
        "600 tokens",
        "exponent biases -3 of norm1 and 14 of ffn2",
        "exponent bias 99 of q",
    ):
        assert what in told(error)
    with pytest.raises(InputError, match="no exponent bias for gelu"):
        plan(what=LayerNumbers({k: v for k, v in NUMBERS.biases.items() if k != "gelu"}))
    with pytest.raises(InputError, match="no layer"):
        plan_layers(UnitDesign(small(), SfuConfig(lanes=4)), SMALL, [])


def test_small_buffers() -> None:
    least = {"a_buffer": 1024, "b_buffer": 1024, "c_buffer": 1024}
    shape = LayerShape(100, 64, 4, 300)
    with pytest.raises(InputError) as error:
        plan(shape, aux_buffer=1024, **least)
    for what in (
        "ffn2: a strip does not fit the operand buffers",
        "v: 25 row tiles of a transposed product, the A buffer holds 4",
        "scores 0: a row tile does not fit the tile buffer",
    ):
        assert what in told(error)
    assert "norm1: a row tile" not in told(error)


def test_products_share_the_rules() -> None:
    config = small(weights="shift")
    made = plan_matmul(config, (13, 30, 9), MatmulOptions(both_codes=True))
    assert (made.registers["passes"], made.registers["b_codes"]) == (5, 1)
    assert made.ideal_cycles == 5 * 4 * 8 * 3 * 4
    assert list(made.registers) == [r.name for r in engine_registers(config)]
    turned = plan_matmul(config, (13, 30, 9), MatmulOptions(transpose=True)).registers
    assert (turned["group"], turned["c_rows"], turned["c_steps"]) == (4, 3, 4)
    parted = plan_matmul(config, (13, 30, 16), MatmulOptions(parts=2)).registers
    assert (parted["c_parts"], parted["c_steps"], parted["c_strips"]) == (2, 2, 8)
    for bad in ({"parts": 3}, {"parts": 2, "transpose": True}, {"parts": 0}):
        with pytest.raises(InputError):
            plan_matmul(config, (13, 30, 16), MatmulOptions(**bad))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no product of two activations"):
        plan_matmul(
            small(weights="shift", attention="none"), (4, 4, 4), MatmulOptions(both_codes=True)
        )


def test_tensors_of_parts() -> None:
    memory = Memory()
    memory.take(7)
    whole = Tensor(4, 10, 32, parts=2).placed(memory)
    assert (whole.desc, whole.base, memory.beats) == (7, 13, 13 + 6 * (2 + 16))
    part = whole.part(1)
    assert (part.columns, part.parts, part.desc, part.base) == (16, 1, 10, 13 + 54)
    rows = part.row_tile_range(2, 1)
    assert (rows.rows, rows.desc, rows.base) == (2, 12, 13 + 54 + 36)
