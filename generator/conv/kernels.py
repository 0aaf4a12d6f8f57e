"""OpenCL text of a plan. The template lays it out; every number is computed here or in the plan."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from shiftforge import __version__
from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.averages import DIGIT_PLACES
from shiftforge.generator.conv.counters import Counter
from shiftforge.generator.conv.lower_controller import COUNTERS, operand_counters
from shiftforge.generator.conv.lower_post import signed_digits
from shiftforge.generator.conv.network import CODE_BITS
from shiftforge.generator.conv.packing import WORD_BITS, Packing
from shiftforge.generator.conv.plan import LayerPlan, Plan
from shiftforge.generator.conv.post_range import clamps_output, floors
from shiftforge.generator.conv.programs import FOLLOWING, STEP_KERNELS, TAKEN, head_beats
from shiftforge.generator.conv.promises import PROMISES
from shiftforge.generator.conv.records import (
    RECORDS,
    THROUGH_RECORDS,
    field_names,
    struct_fields,
)
from shiftforge.generator.conv.tables import ENTRIES
from shiftforge.generator.conv.weights import (
    output_beat_bytes,
    parameter_bytes,
    parameter_content,
    weight_word_bytes,
)
from shiftforge.generator.conv.windows import window_columns
from shiftforge.generator.escape import verbatim
from shiftforge.generator.render import MAX_VECTOR, render

__all__ = ["left_out", "render_accelerator"]

_COMMENTS = {
    "controller_layer_t": "n, a, y, t: counters of operand lines, the innermost first, and how "
    "address, row and tile change with each.",
    "conv_layer_t": "The convolution unit's part.",
    "post_layer_t": "Requantisation, activation, addition, pool.",
    "fetch_layer_t": "Rows of a map that come back from global memory.",
    "store_layer_t": "A step's results on their way to global memory.",
}
# Fields of post that hold where an addition or a pool follows, and there alone.
_OF_ADDITIONS = (
    "skip_signed", "skip_left", "add_signed", "add_left", "sum_left", "sum_right", "add_low",
    "add_high",
)  # fmt: skip
_OF_POOLS = ("pool_signed", "pool_low", "pool_high")
_OF_CODES = ("low", "high")


def _layer_comment(layer: LayerPlan) -> str:
    note = f" + {', '.join(layer.notes)}" if layer.notes else ""
    return f"{layer.index:3d} {layer.mode}{note}  {layer.source}"


def left_out(plan: Plan) -> frozenset[str]:
    """Members that no layer of the plan needs."""
    used = operand_counters(own.controller for own in plan.steps)
    found = [f"{name}{k}" for k in range(used, COUNTERS) for name in "nayt"]
    if not plan.cuts:
        found += ["more_rows", "more_columns"]
    if not any(own.conv.further for own in plan.steps):
        found.append("further")
    if not plan.largest_bits:
        found.append("largest")
    if not any(own.conv.raises for own in plan.steps):
        found.append("raises")
    if not plan.enlargements:
        found += ["enlarge", "repeats_t", "repeats_y", "repeat_row"]
    if not plan.tables:
        found += ["code_table", "table"]
    if not plan.cut_columns:
        found += ["column", "column_step"]
    return frozenset(found)


def _records(plan: Plan) -> list[dict[str, Any]]:
    """The structures, and how the words of a record become one."""
    kinds, none = {**RECORDS, **THROUGH_RECORDS}, left_out(plan)
    return [
        {"type": f"{kernel}_layer_t", "kernel": kernel, "size": f"SF_{kernel.upper()}_WORDS",
         "streamed": kernel in STEP_KERNELS,
         "program": f"SF_{kernel.upper()}_PROGRAM", "program_words": own.total_words,
         "words": own.words, "bits": own.bits, "comment": _COMMENTS[f"{kernel}_layer_t"],
         "fields": [f for f in struct_fields(kinds[f"{kernel}_layer_t"]) if f[0] not in none],
         "unpacked": [f for f in _unpacked(own) if f["name"] not in none]}
        for kernel, own in plan.packings.items()
    ]  # fmt: skip


def _unpacked(packing: Packing) -> list[dict[str, Any]]:
    """Members of a record in order: literals, or bits of a word. Those of a signed field are
    shifted to the word's end and back, which extends the sign."""
    places = {own.name: own for own in packing.fields}
    constants = dict(packing.constants)
    found: list[dict[str, Any]] = []
    for name in field_names(packing.kind):
        if name in constants:
            found.append({"name": name, "value": constants[name]})
            continue
        own = places[name]
        left = WORD_BITS - own.low - own.bits
        found.append(
            {"name": name, "word": own.word, "low": own.low, "mask": (1 << own.bits) - 1,
             "signed": own.signed, "left": left, "right": WORD_BITS - own.bits}
        )  # fmt: skip
    return found


def _trimmed(counters: Iterable[Counter]) -> list[dict[str, Any]]:
    """What a state keeps of its counters: nothing, bits from the lowest on, or bits with a sign.
    Those of 32 bits are left out."""
    return [
        {"name": c.name, "bits": c.bits, "signed": c.signed, "mask": (1 << c.bits) - 1,
         "left": WORD_BITS - c.bits}
        for c in counters if c.bits < WORD_BITS
    ]  # fmt: skip


def _constants(plan: Plan) -> list[tuple[str, str]]:
    """Fields of post as macros: numbers where all layers agree that use them, widths else."""
    found = []
    posts = [step.post for step in plan.steps]
    for names, used in (
        (_OF_CODES, [p for p in posts if not p.direct]),
        (_OF_ADDITIONS, [p for p in posts if p.residual]),
        (_OF_POOLS, [p for p in posts if p.pool]),
    ):
        for name in names:
            values = {getattr(p, name) for p in used}
            text = f"((in)->{name})"
            if len(values) == 1:
                text = str(values.pop())
            elif name == "low" and floors(plan.steps):
                text = "((in)->low & -128)"
            elif values and min(values) >= 0 and "low" not in name:
                text = f"((in)->{name} & {power_of_two(max(values) + 1) - 1})"
            found.append((f"SF_{name.upper()}(in)", text))
    return found


def _pool_terms(multiplier: int) -> list[str]:
    """The product of ``whole`` and a constant as shifts and additions."""
    plus, minus = signed_digits(multiplier)
    terms = []
    for bit in range(multiplier.bit_length() + 1):
        for digits, sign in ((plus, "+"), (minus, "-")):
            if digits >> bit & 1:
                terms.append(f" {sign} (whole << {bit})")
    return terms or ["(ints_t)(0)"]


def _at_once(units: int) -> dict[str, Any]:
    """So many units at once: vectors of them, or some lanes of one, which are in front, and those
    that move up."""
    lanes = min(units, MAX_VECTOR)
    part = lanes < MAX_VECTOR
    return {
        "units": units,
        "vectors": max(1, units // MAX_VECTOR),
        "lanes": "" if lanes == 1 else lanes,
        "front": ".s" + "".join(str(i) for i in range(lanes)) if part else "",
        "moved": [f"s{i}" for i in range(lanes, MAX_VECTOR)] if part else [],
    }


def _output_turns(plan: Plan, direct: bool) -> dict[str, Any]:
    """Of the 32-bit output. bytes: of a store; skipped: stores for units that a pixel lacks."""
    units, turns = plan.turns.output_units, plan.turns.output
    beat = output_beat_bytes(plan.array, direct)
    return {
        **_at_once(units),
        "turns": turns,
        "bytes": 4 * units,
        "skipped": beat // (4 * units) - turns,
    }


def _column_stays(plan: Plan, direct: bool) -> str:
    """When an iteration of post goes on with the same pixel."""
    own = ["s->emits"] if plan.pools else []
    own += ["!turns_end"] if direct and plan.turns.output > 1 else []
    return f"({' || '.join(own)})" if own else ""


def _geometries(plan: Plan, mode: str) -> list[dict[str, int]]:
    """Windows of a mode that have other columns than those before them. weight: of its place, 0 to
    2, in the number that tells the places of a column in all windows."""
    own = window_columns(plan.geometries, mode, plan.array.pixels)
    if mode == "standard" and plan.cut_columns:
        # A window's own column tells which it is.
        own = tuple({origin: (i, stride, origin) for i, stride, origin in own}.values())
    return [
        {"index": i, "stride": stride, "origin": origin, "weight": 3**n}
        for n, (i, stride, origin) in enumerate(own)
    ]


def render_accelerator(plan: Plan) -> str:
    """The whole device text: one file, the same for every device and for hardware."""
    array, image, shifts = plan.array, plan.image, plan.shifts
    strips = plan.image_strips
    vector = min(array.units, MAX_VECTOR)
    note = "" if array.unit == "shift" else ", multiplier variant (not multiplier-free)"
    standard, depthwise = (_geometries(plan, mode) for mode in ("standard", "depthwise"))
    strides = sorted(
        {step for _, step, _ in window_columns(plan.geometries, "standard", array.pixels)}
    )
    pointwise = any(layer.mode == "pointwise" for layer in plan.layers)
    word, beats = weight_word_bytes(array), plan.beats
    lane = 16 if array.units % 16 == 0 else 8
    direct = any(step.post.direct for step in plan.steps)
    parameter = parameter_bytes(array, plan.parameters)
    used = parameter_content(array, plan.parameters)
    outputs = [step.post for step in plan.steps if step.post.direct]
    values: dict[str, Any] = {
        "version": __version__,
        "network": plan.network,
        "board": plan.board.name,
        "units": array.units,
        "pixels": array.pixels,
        "lane_width": lane,
        "lane_parts": [".lo", ".hi"] if lane == 16 else [""],
        "taken": array.taken,
        "lanes": array.lanes,
        "lane_note": note,
        "unit": array.unit,
        "packed_nibbles": array.code_bits == 4,
        "vector": vector,
        "vectors": array.units // vector,
        "runs": max(len(step.conv.runs) for step in plan.steps),
        "skips": plan.zero_words,
        "repeats": {
            "words": any(r.twice for p in plan.steps if p.mode != "depthwise"
                         for r in p.conv.runs),
            "depthwise": any(p.conv.run0.twice for p in plan.steps if p.mode == "depthwise"),
            "further": any(p.conv.further for p in plan.steps),
        },
        "multiplier_requant": plan.multiplier_requant,
        "fm_lines": plan.memory.total_lines or 1,
        "row_lines": plan.row_lines,
        "weight_words": plan.weight_words,
        "weight_half": power_of_two(plan.weight_words),
        "groups": plan.max_groups,
        "step_count": len(plan.steps),
        "pass_count": len(plan.steps) + (plan.image_pass is not None),
        "stored_line_vectors": power_of_two(array.line_bytes) // vector,
        "weight_vectors": word // 8,
        "stored_weight_vectors": power_of_two(word) // 8,
        "weight_main_bytes": beats.main,
        "weight_beat_vectors": beats.main // 8,
        "weight_held_vectors": beats.held // 8,
        "weight_last_vectors": min(beats.main, word - beats.held) // 8,
        "word_beats": beats.count,
        "weight_rest_bytes": beats.rest,
        "words_a_rest": beats.share,
        "output_bytes": output_beat_bytes(array, direct),
        "param_bytes": parameter,
        "param_padding": parameter - used,
        "param_shared": plan.parameters.shared,
        "param_first": "word" if plan.parameters.shared else "bias",
        "bias_bits": plan.parameters.bias_bits,
        "frame_weight_beats": plan.frame_words * beats.count,
        "head_beats": head_beats(plan.packings),
        "batch_beats": plan.frame_beats,
        "taken_place": TAKEN,
        "following_place": FOLLOWING,
        "records": _records(plan),
        "counters": {kernel: _trimmed(own) for kernel, own in plan.counters.items()},
        "through": bool(plan.fetches),
        "fetch_count": len(plan.fetches),
        "store_count": len(plan.saves),
        "constants": _constants(plan),
        "counters_used": operand_counters(own.controller for own in plan.steps),
        "cuts": plan.cuts,
        "largest": {"bits": plan.largest_bits, "places": plan.largest_bits - CODE_BITS}
                   if plan.largest_bits else None,
        "raised_places": DIGIT_PLACES if any(own.conv.raises for own in plan.steps) else 0,
        "cut_columns": plan.cut_columns,
        "channels": plan.channels,
        "numbers": {c.name: i for i, c in enumerate(plan.channels)},
        "hardware_depths": True,
        "layer_comments": [_layer_comment(layer) for layer in plan.layers],
        "modes": {m: any(layer.mode == m for layer in plan.layers)
                  for m in ("pointwise", "depthwise", "standard")},
        "ring_words": (array.taken - 1 + array.units) // 8,
        "depthwise_geometries": depthwise,
        "operand_choices": 3 ** len(depthwise),
        "operand_taps": (len(depthwise) + len(strides) + 1) * pointwise,
        "standard_geometries": standard,
        "standard_strides": strides,
        "window_columns": (array.pixels - 1) * max(strides, default=1) + 3,
        "frames": array.frames,
        "acc_bits": plan.acc_bits,
        "slice": plan.slice,
        "sliced": any(step.post.sliced for step in plan.steps),
        "narrow": any(step.post.sliced or step.post.direct for step in plan.steps),
        "direct": direct,
        "direct_columns": max(
            (p.every // (array.frames * p.output_turns) for p in outputs), default=1
        ),
        "stored": _output_turns(plan, direct),
        "column_stays": _column_stays(plan, direct),
        "direct_clamps": clamps_output(plan.steps),
        "floors": floors(plan.steps),
        "residual": any(step.post.residual for step in plan.steps),
        "tables": [own[n : n + 32] for own in plan.tables for n in range(0, ENTRIES, 32)],
        "looked_up": {name: any(getattr(step.post, name) for step in plan.steps)
                      for name in ("code_table", "table")},
        "enlargements": [{"number": n, "factor": factor, "zeros": zeros}
                         for n, (factor, zeros) in enumerate(plan.enlargements, 1)],
        "pool_bits": plan.pool_bits,
        "pools": [{"terms": _pool_terms(m), "right": right, "below": (1 << right) - 1}
                  for m, right in plan.pools],
        "pool": {**_at_once(plan.turns.pool_units), "turns": plan.turns.pool},
        "image_streams": image.streamed,
        "non_blocking": plan.non_blocking,
        "round_trip": plan.latencies.round_trip,
        "shifts": {
            "right_least": shifts.right_least,
            "right_mask": power_of_two(shifts.right_most - shifts.right_least + 1) - 1,
            "left": 0 if plan.multiplier_requant else shifts.left_most,
            "left_mask": power_of_two(shifts.left_most + 1) - 1,
            "folded": shifts.folded,
            "raised": shifts.raised,
        },
        "promises": PROMISES,
        "lanes_include": verbatim(
            files("shiftforge.kernels").joinpath("lanes.clh").read_text("utf-8").rstrip()
        ),
        "image": {
            "passes": image.passes,
            "map_rows": image.map_rows,
            "strips": len(strips),
            "strip_first": strips[0],
            "strip_rows": strips[1] if len(strips) > 2 else strips[0],
            "strip_last": strips[-1],
            "lines": image.lines,
            "beat": image.beat,
        },
    }  # fmt: skip
    return render("conv/opencl/accelerator.cl.j2", values)
