"""The memory map and the commands of encoder layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.command import (
    Command,
    Memory,
    Tensor,
    command_beats,
    cut,
    register_problems,
    tiles,
)
from shiftforge.generator.edgebert.encoder import (
    LayerNumbers,
    LayerPlan,
    LayerShape,
    Place,
    Results,
)
from shiftforge.generator.edgebert.encoder_memory import (
    choose_parts,
    stage_tensors,
    take_params,
    take_tables,
    take_weights,
)
from shiftforge.generator.edgebert.norm import NormNumbers, norm_registers
from shiftforge.generator.edgebert.product import PLAIN, Operands, ProductMode, operand_registers
from shiftforge.generator.edgebert.registers import unit_registers
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign

__all__ = ["ProgramBuilder", "plan_layer", "plan_layers", "tiles_needed"]

LAST = 1  # register stop


def tiles_needed(lanes: int, shape: LayerShape) -> int:
    """Strips of the largest tensor of a layer: at least so many ``max_tiles`` it takes."""
    rows = tiles(shape.length, lanes)
    return max(rows * shape.heads, tiles(max(shape.hidden, shape.ffn), lanes))


def _unit_problems(design: UnitDesign, shape: LayerShape) -> list[Problem]:
    config, sfu = design.config, design.functions
    found = design.problems()
    if config.weights == "shift" and config.attention == "none":
        found.append(
            Problem("this unit forms no product of two activations", "attention: passes", "unit")
        )
    for what, size, most in (
        ("tokens", shape.length, sfu.row),
        ("columns", shape.hidden, sfu.norm_row),
    ):
        if size > most:
            found.append(
                Problem(f"{size} {what} a row of softmax or layer norm", f"at most {most}", what)
            )
    return found


@dataclass
class ProgramBuilder:
    """Collects commands and problems."""

    design: UnitDesign
    shape: LayerShape
    commands: list[Command]
    problems: list[Problem]
    layer: int = 0

    @property
    def config(self) -> UnitConfig:
        """The matrix unit."""
        return self.design.config

    @property
    def sfu(self) -> SfuConfig:
        """The special functions."""
        return self.design.functions

    def add(
        self,
        name: str,
        stages: tuple[str, ...],
        operands: Operands,
        bias: int,
        *,
        mode: ProductMode = PLAIN,
        head: int | None = None,
        values: dict[str, int] | None = None,
    ) -> None:
        """One command; values: registers that do not follow from where the operands lie."""
        registers = unit_registers(self.config)
        where = name if head is None else f"{name} {head}"
        a, b, _ = operands
        order, found = operand_registers(self.config, operands, where, mode)
        whole = {
            **{r.name: r.usual for r in registers},
            **order,
            "frac": self.sfu.fraction,
            "out_bias": bias,
            **(values or {}),
        }
        self.problems += found or register_problems(registers, whole, where)
        ideal = a.row_tiles * b.row_tiles * a.parts * a.steps * a.lanes * order["passes"]
        self.commands.append(
            Command(
                name,
                cut(registers, whole),
                0 if mode.func == "norm" else ideal,
                stages,
                self.layer,
                head,
            )
        )

    def layer_commands(self, place: Place, at: Results) -> None:
        """All commands of one layer."""
        t, w, p, bias = at.tensors, place.weights, at.params, at.numbers.biases
        for name in ("q", "k"):
            self.add(
                name, (name,), (t["input"], w[name], t[name]), bias[name],
                values={"p_base": p[name]},
            )  # fmt: skip
        self.add(
            "v", ("v", "vt"), (t["input"], w["v"], t["vt"]), bias["v"],
            mode=ProductMode(transpose=True), values={"p_base": p["v"]},
        )  # fmt: skip
        self._attention(place, at)
        self.add(
            "attention_output", ("attention_output",),
            (t["context"], w["output"], t["attention_output"]), bias["attention_output"],
            values={"p_base": p["output"]},
        )  # fmt: skip
        self._norm(place, at, "norm1", ("input", "attention_output", "add1"), at.numbers.norm1)
        self.add(
            "ffn1", ("ffn1", "gelu"), (t["norm1"], w["ffn1"], t["gelu"]), bias["gelu"],
            mode=ProductMode("gelu"), values={"p_base": p["ffn1"]},
        )  # fmt: skip
        self.add(
            "ffn2", ("ffn2",), (t["gelu"], w["ffn2"], t["ffn2"]), bias["ffn2"],
            values={"p_base": p["ffn2"]},
        )  # fmt: skip
        self._norm(place, at, "norm2", ("norm1", "ffn2", "add2"), at.numbers.norm2)

    def _attention(self, place: Place, at: Results) -> None:
        t, bias, shape = at.tensors, at.numbers.biases, self.shape
        rows = tiles(shape.length, self.config.lanes)
        head_tiles = tiles(shape.width, self.config.lanes)
        loaded = False
        for head in range(shape.heads):
            if head in at.numbers.skipped:
                continue
            spans = at.numbers.spans
            probabilities = t["probabilities"].part(head)
            self.add(
                "scores", ("scores", "probabilities"),
                (t["q"].part(head), t["k"].part(head), probabilities), bias["probabilities"],
                mode=ProductMode("softmax", both_codes=True), head=head,
                values={
                    "p_base": at.params["scores"],
                    "f_base": place.tables[f"span {head}" if spans else "span"],
                    # Without masks the table of the first head serves all.
                    "f_rows": rows if spans or not loaded else 0,
                    "length": shape.length,
                },
            )  # fmt: skip
            loaded = True
            self.add(
                "context", ("context",),
                (
                    probabilities,
                    t["vt"].row_tile_range(head * head_tiles, head_tiles),
                    t["context"].part(head),
                ),
                bias["context"], mode=ProductMode(both_codes=True), head=head,
                values={"p_base": at.params["context"]},
            )  # fmt: skip

    def _norm(
        self,
        place: Place,
        at: Results,
        name: str,
        tensors: tuple[str, str, str],
        numbers: NormNumbers,
    ) -> None:
        a, b, total = tensors
        bias = at.numbers.biases
        try:
            constants = norm_registers(self.shape.hidden, self.sfu.fraction, numbers)
        except InputError as error:
            self.problems += error.problems
            return
        self.add(
            name, (total, name), (at.tensors[a], at.tensors[b], at.tensors[name]), bias[name],
            mode=ProductMode("norm", both_codes=True),
            values={
                **constants,
                "p_load": 0,
                "f_base": place.tables[name],
                "f_rows": tiles(self.shape.hidden, self.config.lanes),
                "a_bias": bias[a],
                "b_bias": bias[b],
                "sum_bias": bias[total],
            },
        )  # fmt: skip


def plan_layers(
    design: UnitDesign,
    shape: LayerShape,
    layers: Sequence[LayerNumbers],
    *,
    apart: bool = True,
    gelu_parts: int | None = None,
) -> LayerPlan:
    """A program of layers that share their weights, each with exponent biases of its own.

    apart: every layer's stages have regions of their own, so that all can be read when the program
    has run; otherwise a layer takes the place of the one before the last, and at its end only the
    last layer's stages are whole. gelu_parts: parts of the tensor between the two products of the
    feed-forward network, by default as the buffers suggest.
    Raises InputError with everything that does not fit the unit.
    """
    config = design.config
    problems = shape.problems(config.lanes) + _unit_problems(design, shape)
    if not layers:
        problems.append(Problem("no layer", "give the numbers of at least one", "layers"))
    for index, numbers in enumerate(layers):
        problems += numbers.problems(f"layer {index}")
    if not problems:
        for index in range(1, len(layers)):
            before, here = layers[index - 1].biases["norm2"], layers[index].biases["input"]
            if before != here:
                problems.append(
                    Problem(
                        f"input of exponent bias {here} after a layer that gives {before}",
                        "give the same",
                        f"layer {index}",
                    )
                )
    if problems:
        raise InputError(problems)

    memory = Memory()
    place = Place(take_weights(config, shape, memory), take_tables(config, shape, memory, layers))
    params = [take_params(config, shape, memory) for _ in layers]
    count = sum(8 + 2 * (shape.heads - len(numbers.skipped)) for numbers in layers)
    program = memory.take(count * command_beats(config))
    previous = Tensor(config.lanes, shape.length, shape.hidden).placed(memory)
    results = memory.beats
    parts = gelu_parts or choose_parts(config, shape, previous, place.weights["ffn1"])
    regions: list[dict[str, Tensor]] = []
    found = []
    for index, numbers in enumerate(layers):
        if apart or index < 2:
            stages = stage_tensors(config, shape, parts)
            regions.append({name: tensor.placed(memory) for name, tensor in stages.items()})
        stages = regions[index if apart else index % 2]
        found.append(Results(numbers, {"input": previous, **stages}, params[index]))
        previous = stages["norm2"]

    builder = ProgramBuilder(design, shape, [], [])
    for index, at in enumerate(found):
        builder.layer = index
        builder.layer_commands(place, at)
    if builder.problems:
        # Heads and layers repeat each other's problems.
        raise InputError(dict.fromkeys(builder.problems))
    last = builder.commands[-1]
    ended = Command(
        last.name, {**last.registers, "stop": LAST}, 0, last.stages, last.layer, last.head
    )
    return LayerPlan(
        design, shape, place, tuple(found), (*builder.commands[:-1], ended),
        program, results, memory.beats, apart,
    )  # fmt: skip


def plan_layer(
    design: UnitDesign,
    shape: LayerShape,
    numbers: LayerNumbers,
    *,
    gelu_parts: int | None = None,
) -> LayerPlan:
    """The program of one layer."""
    return plan_layers(design, shape, [numbers], gelu_parts=gelu_parts)
