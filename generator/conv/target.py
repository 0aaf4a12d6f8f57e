"""The convolution accelerator as a target: model and board to design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shiftforge import __version__
from shiftforge.boards.types import Board
from shiftforge.generator.board_fit import Estimate
from shiftforge.generator.build import build, finish
from shiftforge.generator.checking import CheckReport
from shiftforge.generator.conv.alternatives import alternatives
from shiftforge.generator.conv.check import check_network
from shiftforge.generator.conv.documents import conv_documents
from shiftforge.generator.conv.explore import as_planned, explore
from shiftforge.generator.conv.folder import INTERFACE, render_project
from shiftforge.generator.conv.image import image_fields
from shiftforge.generator.conv.kernels import render_accelerator
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.options import Options
from shiftforge.generator.conv.plan import Plan, area_estimate
from shiftforge.generator.conv.plan_document import plan_json, plan_totals
from shiftforge.generator.conv.programs import head_beats, pack_stream
from shiftforge.generator.conv.search import Found, find_plan
from shiftforge.generator.conv.sweep.points import choices_of
from shiftforge.generator.conv.weights import (
    output_beat_bytes,
    pack_parameters,
    pack_weights,
    parameter_bytes,
    weight_word_bytes,
)
from shiftforge.generator.conv.why import explain
from shiftforge.generator.design import Design, TextRules
from shiftforge.generator.exploring import Exploration, FrontPoint
from shiftforge.generator.rules import RuleException
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.file import load_model, model_bytes
from shiftforge.quant.graph.types import QuantizedModel, WeightFormat

__all__ = ["MODEL_FILE", "TARGET", "ConvDraft", "ConvPlan", "ConvTarget", "generate"]

NON_BLOCKING = (
    RuleException(
        "channel-site", "controller", "ch_result",
        "a result is waited for at its planned iteration, and taken before it where it has come; "
        "one of the two happens in an iteration", 0, "layer",
    ),
)  # fmt: skip
"""What the non-blocking controller breaks of the pipelining rules."""

MODEL_FILE = "model.safetensors"
"""The quantised model inside a generated folder."""


@dataclass(frozen=True, eq=False)
class ConvDraft:
    """A network before calibration. formats: of its convolutions' weights, by name."""

    graph: FloatGraph
    formats: Mapping[str, WeightFormat]


@dataclass(frozen=True, eq=False)
class ConvPlan:
    """A network with its plan on a board. found: what the search had to choose from."""

    network: Network
    plan: Plan
    found: Found | None = None


class ConvTarget:
    """Convolutional networks on the unified convolution unit."""

    kind = "conv"
    options = Options
    interface = f"{__version__}/{INTERFACE}"

    def load(self, file: Path) -> QuantizedModel:
        """See ``Target``."""
        return load_model(file)

    def plan(self, network: QuantizedModel, board: Board, options: Options) -> ConvPlan:
        """See ``Target``. Raises InputError for operators that cannot be mapped."""
        found = find_plan(network, board, options)
        return ConvPlan(found.network, found.plan, found)

    def check(self, draft: ConvDraft, board: Board | None, options: Options) -> CheckReport:
        """See ``Checks``."""
        return check_network(draft.graph, draft.formats, board, options)

    def estimate(self, plan: ConvPlan) -> Estimate:
        """See ``Target``."""
        return area_estimate(plan.plan)

    def emit(self, plan: ConvPlan) -> Design:
        """See ``Target``."""
        return _emit(plan.network, plan.plan)

    def alternatives(self, plan: ConvPlan) -> list[dict[str, Any]]:
        """See ``Compares``."""
        return [asdict(found) for found in alternatives(plan.network.model, plan.plan)]

    def explain(self, plan: ConvPlan) -> dict[str, Any]:
        """See ``Explains``."""
        found = plan.found
        if found is None:
            choices = choices_of(plan.network.model)
            return explain(choices, choices[0], plan.plan)
        return explain(found.choices, found.choice, plan.plan)

    def documents(self, folder: Path) -> dict[str, Any]:
        """See ``Reports``."""
        return conv_documents(folder, load_model(folder / MODEL_FILE))

    def explore(
        self, network: QuantizedModel, boards: tuple[Board, ...], options: Options, points: int
    ) -> Exploration:
        """See ``Explores``."""
        return explore(network, boards, options, points)

    def design(
        self, network: QuantizedModel, board: Board, point: FrontPoint
    ) -> tuple[Design, FrontPoint]:
        """See ``Explores``."""
        given: dict[str, Any] = dict(point.options)
        options = Options(**given)
        planned = self.plan(network, board, options)
        return finish(self, planned, board, options), as_planned(point, planned.plan)


TARGET = ConvTarget()


def generate(
    model: QuantizedModel,
    board: Board,
    *,
    units: int | None = None,
    pixels: int | None = None,
    frames: int = 1,
    target_fps: float | None = None,
    non_blocking: bool = False,
    second_terms: float | None = None,
    map_bytes: int | None = None,
) -> Design:
    """The design of a model for a board; nothing is written. Arguments: see ``Options``.

    Raises InputError for operators that cannot be mapped and for a board that is too small.
    """
    options = Options(
        units=units, pixels=pixels, frames=frames, target_fps=target_fps,
        non_blocking=non_blocking, second_terms=second_terms, map_bytes=map_bytes,
    )  # fmt: skip
    return build(TARGET, model, board, options)


def _emit(network: Network, plan: Plan) -> Design:
    layers, model = network.fit(plan.array.units).layers, network.model
    weights, rests = pack_weights(
        layers, [own.words for own in plan.layers], plan.array, plan.beats,
        [own.index for own in plan.steps],
    )  # fmt: skip
    parameters = pack_parameters(
        layers, plan.array, plan.parameters, [own.index for own in plan.steps]
    )
    data = {
        "data/weights.bin": weights,
        "data/rests.bin": rests,
        "data/params.bin": _stream(plan, parameters),
    }
    files = {
        **{path: text.encode() for path, text in render_project(plan, data).items()},
        "device/accelerator.cl": render_accelerator(plan).encode(),
        **data,
        "plan.json": plan_json(plan).encode(),
        MODEL_FILE: model_bytes(model),
    }
    report = dict(plan_totals(plan))
    proofs = {proof.promise.name: proof.distance for proof in plan.proofs}
    exceptions = NON_BLOCKING if plan.non_blocking else ()
    return Design(files, report, _manifest(model, plan), TextRules(True, proofs, exceptions))


def _stream(plan: Plan, parameters: bytes) -> bytes:
    """The records, and behind each step's the parameters."""
    image = [plan.image_pass] if plan.image_pass is not None else []
    records: dict[str, Sequence[Any]] = {
        "controller": [*image, *(own.controller for own in plan.steps)],
        "conv": [plan.fill, *(own.conv for own in plan.steps)],
        "post": [own.post for own in plan.steps],
        "fetch": plan.fetches,
        "store": plan.saves,
    }
    groups = [own.tiling.out_groups for own in plan.steps]
    beat = parameter_bytes(plan.array, plan.parameters)
    return pack_stream(plan.packings, records, parameters, groups, beat)


def _outputs(model: QuantizedModel, plan: Plan) -> dict[str, dict[str, Any]]:
    """Where the network's outputs lie among what leaves: in the order of the passes."""
    found: dict[str, dict[str, Any]] = {}
    first = 0
    for layer in (own for own in plan.layers if own.leaves_as):
        output = model.tensors[layer.leaves_as]
        steps = [own for own in plan.steps if own.index == layer.index]
        direct = bool(steps[0].post.direct)
        lines = sum(own.controller.stores for own in steps)
        found[output.name] = {
            "tensor": output.name,
            "shape": list(output.shape),
            "signed": output.grid.signed,
            "direct": direct,
            "groups": layer.tiling.out_groups,
            "tiles": layer.tiling.tiles,
            "lines": lines,
            # A pool leaves a row of its own.
            "strips": [own.tiling.out_rows for own in steps] if len(steps) > 1 else [output.height],
            "first": first,
        }
        places = output.height * output.width * plan.array.frames
        first += layer.tiling.out_groups * places if direct else lines
    return found


def _manifest(model: QuantizedModel, plan: Plan) -> dict[str, object]:
    """Sizes and names that the host needs; everything else is in plan.json."""
    array = plan.array
    outputs = _outputs(model, plan)
    direct = any(own["direct"] for own in outputs.values())
    return {
        "interface": f"{__version__}/{INTERFACE}",
        "network": model.name,
        "board": plan.board.name,
        "units": array.units,
        "pixels": array.pixels,
        "frames": array.frames,
        "weight_bytes": weight_word_bytes(array),
        "output_bytes": output_beat_bytes(array, direct),
        "steps": len(plan.steps),
        "passes": len(plan.steps) + (plan.image_pass is not None),
        "image": list(plan.image_shape),
        "layout": image_fields(plan.image),
        "labels": list(model.labels),
        "preprocess": {
            "mean": list(model.preprocess.mean),
            "std": list(model.preprocess.std),
            "resize": asdict(model.preprocess.resize),
            "exponent": model.tensors[model.input].grid.exponent,
            "range": [model.tensors[model.input].grid.qmin, model.tensors[model.input].grid.qmax],
        },
        "output": outputs[model.output],
        "more_outputs": [outputs[name] for name in model.more_outputs],
        "frame_words": plan.frame_words,
        "channel_groups": plan.frame_params,
        "programs": list(plan.packings),
        "head_beats": head_beats(plan.packings),
        "record_beats": plan.record_beats,
        "memory_lines": plan.through.lines,
        "trace_lines": plan.trace_lines,
        "trace": [asdict(own) for own in plan.traced],
        "records": {name: own.to_dict() for name, own in plan.packings.items()},
        "channels": [
            {"name": c.name, "type": c.type, "writer": c.writer, "reader": c.reader,
             "depth": c.depth}
            for c in plan.channels
        ],
    }  # fmt: skip
