"""Runs sentences on the processing unit's RTL: one program each, which ends at its exit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.command import Tensor
from shiftforge.generator.edgebert.sentence import plan_sentence
from shiftforge.generator.edgebert.sentence_program import SentencePlan
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.host import label_at, looked_up
from shiftforge.sim.edgebert.rtl.encoder_run import (
    COMMAND,
    DONE,
    FIGURE,
    Simulated,
    Stopped,
    build_unit,
    simulate,
    trace_cycles,
)
from shiftforge.sim.edgebert.rtl.encoder_stages import read_stages
from shiftforge.sim.edgebert.rtl.matmul import ExternalMemory
from shiftforge.sim.edgebert.rtl.operands import read_tensor
from shiftforge.sim.edgebert.sentence_golden import LayerResult, Sentence
from shiftforge.sim.edgebert.sentence_image import network_image, write_sentence
from shiftforge.sim.edgebert.sentence_window import spans_of
from shiftforge.sim.golden.edgebert.encoder import STAGES
from shiftforge.sim.rtl.memory_file import from_hex
from shiftforge.sim.rtl.trace import TraceKind

__all__ = ["ClassifierRtl", "CommandCycles", "Malformed", "RtlSentence"]

_MEMORY_BITS = 16


@dataclass(frozen=True)
class CommandCycles:
    """A command of the program that ran; its figures are the unit's counters."""

    layer: int
    name: str
    start: int
    end: int
    busy: int
    gated: int = 0


@dataclass(frozen=True, eq=False)
class RtlSentence:
    """sentence: what the run left. cycles: the unit's, to the end of the last command that ran.
    ideal_cycles: of the products of the commands that ran. seconds: of the simulation. reads,
    writes: beats on the external port, descriptors, parameters, tables and commands included."""

    sentence: Sentence
    commands: tuple[CommandCycles, ...]
    cycles: int
    ideal_cycles: int
    seconds: float
    reads: int = 0
    writes: int = 0


class Malformed(CheckFailed):
    """A program ran to its end and left tensors that cannot be read. layer: whose, None of the
    embeddings; stage: the first; spans: start and end of each command that ran. sentence: what
    could be read before, rest: of the layer itself."""

    def __init__(
        self, what: str, layer: int | None, stage: str, spans: list[tuple[int, int]]
    ) -> None:
        super().__init__(what)
        self.layer, self.stage, self.spans = layer, stage, spans
        self.sentence = Sentence({}, (), 0)
        self.rest: dict[str, NDArray[Any]] = {}


class ClassifierRtl:
    """A classifier's programs for a unit. threshold: of the exit; None runs all layers.

    longest: tokens of the longest sentence, by default the network's. trace, coverage: see
    ``build_model``. Raises InputError where the network does not fit, BuildError where the RTL
    cannot be built.
    """

    def __init__(
        self,
        design: UnitDesign,
        network: IntegerAlbert,
        threshold: int | None = None,
        *,
        longest: int | None = None,
        replace: dict[str, str] | None = None,
        trace: TraceKind | None = None,
        coverage: bool = False,
        cache: Path | None = None,
    ) -> None:
        self.design, self.network, self.threshold = design, network, threshold
        self._plans: dict[int, tuple[SentencePlan, NDArray[np.uint8]]] = {}
        most, _ = self._planned(longest or network.length)
        self.memory_bits = max(_MEMORY_BITS, (most.program.beats - 1).bit_length())
        self.model = build_unit(
            design, self.memory_bits, replace=replace, trace=trace, coverage=coverage, cache=cache
        )

    def plan(self, length: int) -> SentencePlan:
        """The program of sentences of ``length`` tokens. Raises InputError."""
        return self._planned(length)[0]

    def _planned(self, length: int) -> tuple[SentencePlan, NDArray[np.uint8]]:
        if length not in self._plans:
            plan = plan_sentence(self.design, self.network, length, self.threshold)
            self._plans[length] = plan, network_image(plan, self.network)
        return self._plans[length]

    def run(
        self,
        ids: NDArray[np.int64],
        types: NDArray[np.int64] | None = None,
        memory: ExternalMemory | None = None,
        *,
        seed: int = 0,
        coverage: Path | None = None,
    ) -> RtlSentence:
        """A sentence of token identities.

        seed: of the values from which registers start. coverage: takes the counts. Raises
        InputError, Malformed where the run leaves no well-formed tensors, and Stopped where it
        ends early or leaves commands out.
        """
        plan, image = self.image(ids, types)
        done = simulate(self.model, plan.program, image, memory, seed=seed, coverage=coverage)
        try:
            rows = _ran(plan, done.log)
            sentence = self._read(plan, image, done, rows)
        except Malformed:
            raise
        except CheckFailed as error:
            raise Stopped(str(error), done.log) from error
        ends = list(accumulate(row["cycles"] for row in rows))
        whole = plan.program
        finished = DONE.search(done.log)
        figures = {} if finished is None else dict(FIGURE.findall(finished[1]))
        commands = [
            CommandCycles(command.layer, command.label, start, end, row["busy"], row["gated"])
            for command, start, end, row in zip(
                whole.commands, [0, *ends], ends, rows, strict=False
            )
        ]
        return RtlSentence(
            sentence,
            tuple(commands),
            ends[-1],
            sum(c.ideal_cycles for c in whole.commands[: len(rows)]),
            done.seconds,
            int(figures.get("reads", 0)),
            int(figures.get("writes", 0)),
        )

    def image(
        self, ids: NDArray[np.int64], types: NDArray[np.int64] | None = None
    ) -> tuple[SentencePlan, NDArray[np.uint8]]:
        """A sentence's plan, and the external memory that its program begins with."""
        plan, constant = self._planned(len(ids))
        image = constant.copy()
        write_sentence(plan, image, *looked_up(self.network, ids, types))
        return plan, image

    def trace(
        self, ids: NDArray[np.int64], file: Path, cycles: tuple[int, int], *, seed: int = 0
    ) -> None:
        """Run a sentence and write its signals in the first to the last of ``cycles``. See
        ``trace_cycles``."""
        plan, image = self.image(ids)
        trace_cycles(self.model, plan.program, image, file, cycles, seed=seed)

    def _read(
        self,
        plan: SentencePlan,
        image: NDArray[np.uint8],
        done: Simulated,
        rows: list[dict[str, int]],
    ) -> Sentence:
        whole, spans = plan.program, spans_of(done.log)
        ramps = [
            row
            for command, row in zip(whole.commands, rows, strict=False)
            if command.name == "off_ramp"
        ]
        x = whole.layers[0].tensors["input"]

        layers: list[LayerResult] = []
        embedding: dict[str, NDArray[np.uint8]] = {}

        def malformed(
            what: str, layer: int | None, name: str, stages: dict[str, NDArray[Any]]
        ) -> Malformed:
            found = Malformed(what, layer, name, spans)
            found.sentence, found.rest = Sentence(embedding, tuple(layers), 0), stages
            return found

        def read(
            tensor: Tensor, layer: int | None, name: str, stages: dict[str, NDArray[Any]]
        ) -> NDArray[np.uint8]:
            try:
                return read_tensor(image, tensor, name)
            except CheckFailed as error:
                raise malformed(str(error), layer, name.split(" ")[0], stages) from error

        embedded, rest = _split(plan, done.taps)
        embedding |= {name: read(plan.tensors[name], None, name, {}) for name in ("word", "place")}
        embedding["embedded"] = embedded
        name = "embedding_norm"
        embedding[name] = read(plan.tensors[name], None, name, {})
        embedding["input"] = read(x, None, "input", {})
        found = read_stages(plan.part(len(ramps)), image, rest)
        for index, (own, ramp) in enumerate(zip(found, ramps, strict=True)):
            if own.malformed:
                name, what = next(iter(own.malformed.items()))
                raise malformed(f"{name}: {what}", index, name, own.stages)
            name = f"logits {index}"
            logits = read(plan.tensors[name], index, name, own.stages)[0]
            # The unit compares with a threshold of 0 where none is asked for.
            exits = self.threshold is not None and bool(ramp["exit"])
            stages = {stage: own.stages[stage] for stage in STAGES}
            layers.append(LayerResult(stages, logits, ramp["entropy"], exits))
        ran = {c.head for c in whole.commands[: len(rows)] if c.head is not None}
        skipped = tuple(head for head in range(whole.shape.heads) if head not in ran)
        return Sentence(embedding, tuple(layers), label_at(layers[-1].logits), skipped)


def _ran(plan: SentencePlan, log: str) -> list[dict[str, int]]:
    """The counters of the commands that ran.

    Raises CheckFailed where they are not the program's first ones, up to an off-ramp.
    """
    found = COMMAND.findall(log)
    if [int(index) for index, _ in found] != list(range(len(found))):
        raise CheckFailed("the RTL left commands out")
    commands = plan.program.commands
    if not 0 < len(found) <= len(commands) or commands[len(found) - 1].name != "off_ramp":
        raise CheckFailed(f"the RTL stopped after {len(found)} of {len(commands)} commands")
    return [{key: int(value) for key, value in FIGURE.findall(text)} for _, text in found]


def _split(plan: SentencePlan, taps: bytes) -> tuple[NDArray[np.uint8], bytes]:
    """The sums of the embeddings, and the taps of the layers."""
    lanes, tensor = plan.program.config.lanes, plan.tensors["embedding_norm"]
    count = tensor.row_tiles * tensor.steps * lanes
    lines = taps.split(b"\n")
    head = lines[:count]
    if len(head) != count or not all(line.startswith(b"S ") for line in head):
        raise CheckFailed("taps of the embeddings are missing")
    rows = from_hex(b"\n".join(line.split(b" ")[-1] for line in head) + b"\n", lanes)
    tiles = rows.reshape(tensor.row_tiles, tensor.steps, lanes, lanes).transpose(0, 2, 1, 3)
    sums = tiles.reshape(tensor.row_tiles * lanes, tensor.steps * lanes)
    sums = np.ascontiguousarray(sums[: tensor.rows, : tensor.columns])
    return sums.astype(np.uint8), b"\n".join(lines[count:])
