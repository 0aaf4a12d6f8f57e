"""Programs of whole sentences: embeddings, encoder layers, and an off-ramp after every layer.

Before the layers come the layer norm of word codes plus place codes and the product with the
embedding mapping; after each layer the product of the first token's row with the off-ramp, whose
fixed-point logits go to the entropy unit. The program ends after the first off-ramp whose entropy
is low enough, by the register ``stop``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.command import (
    PARAM_BEATS,
    TABLE_BEATS,
    Command,
    Memory,
    Tensor,
    command_beats,
    tiles,
)
from shiftforge.generator.edgebert.encoder import LayerNumbers, LayerPlan, LayerShape
from shiftforge.generator.edgebert.encoder_program import ProgramBuilder, plan_layers
from shiftforge.generator.edgebert.norm import NormNumbers, norm_registers
from shiftforge.generator.edgebert.product import ProductMode
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign

__all__ = ["EMBEDDED", "SentenceNumbers", "SentencePlan", "plan_commands"]

LAST, IF_EXIT = 1, 2  # register stop
EMBEDDED = ("word", "place", "embedded", "embedding_norm", "input")
_FEWEST, _MOST = 2, 512  # classes: the entropy unit's rows


@dataclass(frozen=True)
class SentenceNumbers:
    """embedding: columns of the embeddings. biases: exponent biases of ``word``, ``place``,
    ``embedded``, ``embedding_norm`` and ``input``. logits: the bias of each layer's logits.
    threshold: entropy of the exit, 16 fraction bits; None runs all layers."""

    embedding: int
    classes: int
    biases: Mapping[str, int]
    logits: Sequence[int]
    norm: NormNumbers
    threshold: int | None = None

    def problems(self, layers: Sequence[LayerNumbers]) -> list[Problem]:
        """What cannot be planned."""
        found = [
            Problem(f"no exponent bias for {name}", "give one", "embedding")
            for name in EMBEDDED
            if name not in self.biases
        ]
        if not _FEWEST <= self.classes <= _MOST:
            found.append(Problem(f"{self.classes} classes", f"{_FEWEST} to {_MOST}", "classes"))
        if self.threshold is not None and not 0 <= self.threshold < 2**32:
            what = f"threshold {self.threshold}"
            found.append(Problem(what, "give an unsigned 32-bit number", "threshold"))
        if len(self.logits) != len(layers):
            what = f"{len(self.logits)} off-ramps for {len(layers)} layers"
            found.append(Problem(what, "give one a layer", "logits"))
        if found or not layers:
            return found
        if abs(self.biases["word"] - self.biases["place"]) > 16:
            found.append(Problem("biases of word and place", "at most 16 apart", "embedding"))
        if self.biases["input"] != layers[0].biases.get("input"):
            what = f"mapping of bias {self.biases['input']} before another input"
            found.append(Problem(what, "give the same", "layer 0"))
        return found


@dataclass(frozen=True)
class SentencePlan:
    """program: the whole, with the commands of embeddings and off-ramps among those of the layers.

    tensors: ``word``, ``place`` (operands), ``embedding_norm``, ``logits i``. weights: ``mapping``,
    ``ramp i``. params: beat addresses, by the same names. table: of the embeddings' layer norm.
    """

    program: LayerPlan
    numbers: SentenceNumbers
    tensors: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    params: Mapping[str, int]
    table: int

    def part(self, layers: int) -> LayerPlan:
        """The first layers alone, with their own commands: what their stages are read by."""
        whole = self.program
        kept = tuple(
            c for c in whole.commands if c.layer < layers and c.name not in ("off_ramp", *EMBEDDED)
        )
        return replace(whole, layers=whole.layers[:layers], commands=kept)


@dataclass(frozen=True)
class _Parts:
    """Where everything but the layers lies."""

    tensors: dict[str, Tensor]
    weights: dict[str, Tensor]
    params: dict[str, int]
    table: int


def _placed(
    config: UnitConfig, shape: LayerShape, numbers: SentenceNumbers, memory: Memory
) -> _Parts:
    n, length, e = config.lanes, shape.length, numbers.embedding
    ramps = range(len(numbers.logits))
    tensors = {name: Tensor(n, length, e) for name in ("word", "place", "embedding_norm")}
    tensors |= {f"logits {i}": Tensor(n, 1, numbers.classes) for i in ramps}
    sizes = {"mapping": (shape.hidden, e)}
    sizes |= {f"ramp {i}": (numbers.classes, shape.hidden) for i in ramps}
    return _Parts(
        {name: tensor.placed(memory) for name, tensor in tensors.items()},
        {
            name: Tensor(n, rows, depth, pack=config.weight_pack).placed(memory)
            for name, (rows, depth) in sizes.items()
        },
        {
            name: memory.take(PARAM_BEATS * tiles(rows, n))
            for name, (rows, _) in sizes.items()
        },
        memory.take(TABLE_BEATS * tiles(e, n)),
    )  # fmt: skip


def _embedding(builder: ProgramBuilder, parts: _Parts, numbers: SentenceNumbers, x: Tensor) -> None:
    """Layer norm of the sum, then the mapping into a layer's columns."""
    bias, t = numbers.biases, parts.tensors
    constants = norm_registers(numbers.embedding, builder.sfu.fraction, numbers.norm)
    builder.add(
        "embedding_norm", ("embedded", "embedding_norm"),
        (t["word"], t["place"], t["embedding_norm"]), bias["embedding_norm"],
        mode=ProductMode("norm", both_codes=True),
        values={
            **constants,
            "p_load": 0,
            "f_base": parts.table,
            "f_rows": tiles(numbers.embedding, builder.config.lanes),
            "a_bias": bias["word"],
            "b_bias": bias["place"],
            "sum_bias": bias["embedded"],
        },
    )  # fmt: skip
    builder.add(
        "input", ("input",), (t["embedding_norm"], parts.weights["mapping"], x), bias["input"],
        values={"p_base": parts.params["mapping"]},
    )  # fmt: skip


def _off_ramp(
    builder: ProgramBuilder, parts: _Parts, numbers: SentenceNumbers, state: Tensor
) -> None:
    """The first token's row through the off-ramp; the last one ends the program."""
    index = builder.layer
    row = replace(state.row_tile_range(0, 1), rows=1)
    stop = LAST if index == len(numbers.logits) - 1 else IF_EXIT
    values = {
        "p_base": parts.params[f"ramp {index}"],
        "entropy": 1,
        "length": numbers.classes,
        "threshold": numbers.threshold or 0,
        "stop": stop if numbers.threshold is not None or stop == LAST else 0,
    }
    builder.add(
        "off_ramp", ("logits",),
        (row, parts.weights[f"ramp {index}"], parts.tensors[f"logits {index}"]),
        numbers.logits[index], values=values,
    )  # fmt: skip


def _unended(command: Command) -> Command:
    return replace(command, registers={**command.registers, "stop": 0})


def plan_commands(
    design: UnitDesign,
    shape: LayerShape,
    layers: Sequence[LayerNumbers],
    numbers: SentenceNumbers,
    *,
    apart: bool = True,
) -> SentencePlan:
    """The program of a sentence of ``shape.length`` tokens. apart: as in ``plan_layers``.

    Raises InputError with everything that does not fit the unit.
    """
    config, sfu = design.config, design.functions
    problems = numbers.problems(layers)
    if numbers.embedding > sfu.norm_row:
        what = f"{numbers.embedding} columns, the function unit takes {sfu.norm_row}"
        problems.append(Problem(what, "use longer rows", "sfu"))
    if problems:
        raise InputError(problems)
    base = plan_layers(design, shape, layers, apart=apart)
    memory = Memory()
    memory.beats = base.beats
    parts = _placed(config, shape, numbers, memory)
    builder = ProgramBuilder(design, shape, [], [])
    _embedding(builder, parts, numbers, base.layers[0].tensors["input"])
    for index, at in enumerate(base.layers):
        builder.layer = index
        builder.commands += [_unended(c) for c in base.commands if c.layer == index]
        _off_ramp(builder, parts, numbers, at.tensors["norm2"])
    if builder.problems:
        raise InputError(dict.fromkeys(builder.problems))
    program = memory.take(len(builder.commands) * command_beats(config))
    whole = replace(
        base,
        commands=tuple(builder.commands),
        program=program,
        # The first layer's input is a result here; it lies just before those of the layers.
        results=base.layers[0].tensors["input"].desc,
        beats=memory.beats,
    )
    return SentencePlan(whole, numbers, parts.tensors, parts.weights, parts.params, parts.table)
