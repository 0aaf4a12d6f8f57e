"""The generated device text: goldens that are compared, checked by the rules, compiled and run.

After a change of the templates that is meant: ``pytest tests/generator/conv/test_emit.py
--refresh-goldens``, and look at the difference before it is committed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import jinja2
import numpy as np
import pytest
from conv_chains import chain
from conv_plans import second_kinds
from device_client import DeviceClient
from random_networks import random_frames, random_network
from random_terms import with_mixed_weights

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.kernels import left_out, render_accelerator
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.promises import PROMISES
from shiftforge.generator.conv.records import RECORDS, field_names, struct_fields
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.target import generate
from shiftforge.generator.render import render
from shiftforge.generator.rules.check import check_rules
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import IntFormat, QuantizedModel, ShiftFormat
from shiftforge.sim.golden.conv.network import run_golden

GOLDEN = Path(__file__).parents[2] / "golden"


@dataclass(frozen=True)
class Case:
    """A model and an array whose text is kept."""

    name: str
    units: int
    pixels: int

    @cached_property
    def model(self) -> QuantizedModel:
        if self.name == "two_terms":
            # Runs of groups, zeros at groups' ends, and depthwise second words of both kinds.
            return with_mixed_weights(random_model(1, ModelOptions(height=14, width=13)), 208)
        if self.name == "one_term":
            return random_model(
                2, ModelOptions(height=9, width=10, weight_format=ShiftFormat(4, 1, "S1"))
            )
        return random_model(
            3, ModelOptions(height=9, width=9, weight_format=IntFormat(8), requant="multiplier")
        )

    @cached_property
    def plan(self) -> Plan:
        array = array_for(self.model, self.units, self.pixels)
        return make_plan(self.model, load_board("s10gx2800"), array)


CASES = [Case("two_terms", 16, 7), Case("one_term", 32, 4), Case("multiplier", 16, 4)]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
Generate = Callable[..., Path]


@each_case
def test_the_text_is_the_golden_one(case: Case, generated: Generate, refresh_goldens: bool) -> None:
    folder = generated(case.model, case.units, case.pixels)
    text = (folder / "device/accelerator.cl").read_text(encoding="utf-8")
    path = GOLDEN / f"accelerator_{case.name}.cl"
    if refresh_goldens:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), "no golden: run pytest with --refresh-goldens"
    assert text == path.read_text(encoding="utf-8"), (
        f"{path.name} differs; if that is meant: pytest tests/generator/conv/test_emit.py "
        "--refresh-goldens"
    )


@each_case
@pytest.mark.parametrize(
    "defines", [{}, {"SF_EMULATOR": "1"}, {"SF_LOWERED": "1"}, {"SF_TRACE": "99"}], ids=str
)
def test_the_goldens_keep_intels_rules(case: Case, defines: dict[str, str]) -> None:
    text = (GOLDEN / f"accelerator_{case.name}.cl").read_text(encoding="utf-8")
    found = check_rules(
        text, source_name=case.name, defines=defines,
        # The text for hardware alone has to pipeline.
        pipelining=not defines,
        proofs={proof.promise.name: proof.distance for proof in case.plan.proofs},
    )  # fmt: skip
    if "SF_LOWERED" in defines:  # no text for hardware: one scheduler without channels
        found = [v for v in found if v.rule != "single-work-item"]
    assert not [str(v) for v in found if v.severity == "error"]


@each_case
@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_the_goldens_compile_and_run(
    case: Case, device: str, generated: Generate, on_device: Callable[[str], DeviceClient]
) -> None:
    folder = generated(case.model, case.units, case.pixels)
    golden_text = (GOLDEN / f"accelerator_{case.name}.cl").read_text(encoding="utf-8")
    assert (folder / "device/accelerator.cl").read_text(encoding="utf-8") == golden_text
    frames = random_frames(case.model, 4, frames=1)
    found = on_device(device).run(folder, frames, trace=False)[case.model.output]
    assert np.array_equal(found, run_golden(case.model, frames)[case.model.output])


def _products(body: str) -> list[str]:
    """Statements of a function that multiply values; indices and loop bounds are constants."""
    code = re.sub(r"/\*.*?\*/", "", body[body.index("{") :], flags=re.S)
    for inside in (r"\[[^][]*\]", r"\bfor \([^)]*\)", r"\bconst int [^;]*;", r"2 \* i \+ h < \d+"):
        code = re.sub(inside, "", code)
    return [" ".join(own.split()) for own in re.split("[;{}]", code) if "*" in own]


@each_case
def test_the_multiplier_free_text_multiplies_nothing_in_the_array(case: Case) -> None:
    text = (GOLDEN / f"accelerator_{case.name}.cl").read_text(encoding="utf-8")
    array = text[
        text.index("static void conv_array") : text.index("static void conv_push_channels")
    ]
    products = _products(array)
    planted = array.replace("sum0 += ", "sum0 += x[0].lo * ", 1)
    assert len(_products(planted)) == len(products) + 1
    terms = [line for line in array.splitlines() if "<< shift[" in line]
    if case.name == "multiplier":
        assert len(products) == 1 and not terms
        assert "multiplier variant (not multiplier-free)" in text.splitlines()[2]
    else:
        # One shifter a lane, whatever the weights.
        assert len(terms) == 1 and not products
        assert "not multiplier-free" not in text


def test_second_words_are_in_the_text_where_a_layer_has_them() -> None:
    texts = {
        case.name: (GOLDEN / f"accelerator_{case.name}.cl").read_text(encoding="utf-8")
        for case in CASES
    }
    for name in ("one_term", "multiplier"):
        assert "int conv_holds(const conv_state_t *s) {\n  return 0;\n}" in texts[name]
        for held in ("second_words", "s->again", "run == 1"):
            assert held not in texts[name]
    plan = CASES[0].plan
    layers = schedule(CASES[0].model).layers
    kinds = {k for layer, own in zip(layers, plan.steps, strict=True)
             for k in second_kinds(layer, own, plan)}  # fmt: skip
    assert kinds >= {
        "depthwise by row, all groups", "depthwise by row, some groups",
        "pointwise with 3 runs", "pointwise with some second words",
        "pointwise with lines of zeros behind the last word",
    }  # fmt: skip
    assert "s->twice != 0 && !s->second" in texts["two_terms"]
    assert "run == 2" in texts["two_terms"] and "run == 3" not in texts["two_terms"]


@each_case
@pytest.mark.parametrize("name", RECORDS)
def test_the_structs_are_the_records(case: Case, name: str) -> None:
    text = (GOLDEN / f"accelerator_{case.name}.cl").read_text(encoding="utf-8")
    body = text[: text.index(f"}} {name};")].rsplit("typedef struct {", 1)[1]
    members = re.findall(r"^  (int|pace_layer_t|run_layer_t) (\w+);", body, re.M)
    kept = [own for own in struct_fields(RECORDS[name]) if own[0] not in left_out(case.plan)]
    assert members == [(type_, own) for own, type_, _ in kept]
    names = re.findall(r"^  in\.([\w.]+) = ", text[text.index(f"static {name} ") :], re.M)
    wanted = [own for own in field_names(RECORDS[name]) if own not in left_out(case.plan)]
    assert names[: len(wanted)] == wanted


@each_case
def test_each_promise_stands_at_its_loop_and_no_other(case: Case) -> None:
    text = (GOLDEN / f"accelerator_{case.name}.cl").read_text(encoding="utf-8")
    assert _promises(text) == sorted((p.name, p.array, p.safelen) for p in PROMISES.values())
    # A promise without a proof is told by the rules, and so is one of no name here.
    bare = text.replace("/* proof: conv-rows", "/* about rows: conv-rows")
    assert "" in [name for name, _, _ in _promises(bare)]
    found = check_rules(bare, source_name="bare", pipelining=True)
    assert {v.rule for v in found if v.severity == "error"} >= {"promise-proof"}


def _promises(text: str) -> list[tuple[str, str, int]]:
    """(proof, array, safelen) of every ivdep in the text; no proof is "" and no safelen 0."""
    lines = text.splitlines()
    found = []
    for before, line in pairwise(lines):
        if match := re.match(r"\s*#pragma ivdep(?: array\((\w+)\))?(?: safelen\((\d+)\))?$", line):
            named = re.match(r"\s*/\* proof: ([\w-]+) - ", before)
            found.append((named[1] if named else "", match[1] or "", int(match[2] or 0)))
    assert len(found) == text.count("#pragma ivdep")
    return sorted(found)


@each_case
def test_each_layer_is_named_with_its_module(case: Case) -> None:
    text = (GOLDEN / f"accelerator_{case.name}.cl").read_text(encoding="utf-8")
    header = text[: text.index("*/")]
    for conv in case.model.conv_nodes():
        assert conv.source in header
    assert not re.search(r"/(tmp|home|usr)/|20\d\d-\d\d", header)


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("conv/opencl/accelerator.cl.j2", {"version": "1"})


def test_names_cannot_end_a_comment() -> None:
    """The model's verifier refuses such names first; the emitter does not rely on it."""
    model = random_network(3, layers=2)
    nodes = tuple(replace(n, source="a\\*/x?\n#define") for n in model.nodes)
    model = replace(model, nodes=nodes, name="*/ int y;")
    plan = make_plan(model, load_board("a10gx1150"), array_for(model, 16, 7))
    text = render_accelerator(plan)
    header = text[: text.index("*/")]
    assert "\\" not in header and "pointwise" in header and "#define" not in text[: len(header)]
    assert header.count("define") == len(plan.layers)


@pytest.mark.parametrize("kinds", ["1", "3", "13", "131"])
def test_networks_of_few_kinds_of_layers_pass_the_rules(kinds: str) -> None:
    """Without depthwise layers the convolution unit's channel calls need an order of their own."""
    around = {"padding": (1, 1, 1, 1)}
    layers = [{"out": 20, "kernel": int(k), **(around if k == "3" else {})} for k in kinds]
    made = chain({"out": 20, "kernel": 1}, *layers, channels=5, height=9, width=11)
    assert generate(made, load_board("a10gx1150"), units=16, pixels=7).files
