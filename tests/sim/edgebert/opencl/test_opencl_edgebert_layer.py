"""A whole encoder layer on the EdgeBERT unit's kernels against the integer reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edgebert_client import UnitClient
from edgebert_layers import Case, random_layer
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, ToolFailed
from shiftforge.generator.edgebert.kernels import render_edgebert
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.opencl.encoder import check_layer
from shiftforge.sim.edgebert.opencl.product import ProductOptions
from shiftforge.sim.edgebert.opencl.run import Limits, run_layer, run_product
from shiftforge.sim.edgebert.operands import ProductOperands
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.bitmask import Codes
from shiftforge.sim.golden.edgebert.encoder import STAGES, Unit, encoder_layer
from shiftforge.sim.golden.edgebert.mac import matmul_af
from shiftforge.sim.golden.edgebert.post import post_fixed

Client = Callable[[str], UnitClient]
DEVICES = ("pocl", "intel-cpu", "intel-fpga-emu")
KINDS: dict[str, dict[str, Any]] = {
    "af": {},
    "shift1": {"weights": "shift"},
    "shift2": {"weights": "shift", "terms": 2},
}


@pytest.fixture(scope="module")
def on() -> Iterator[Client]:
    """on(device) -> the process that runs layers on it."""
    clients: dict[str, UnitClient] = {}
    yield lambda device: clients.setdefault(device, UnitClient(device))
    for client in clients.values():
        client.close()


def units(lanes: int, kind: str, **changes: Any) -> tuple[UnitDesign, Unit]:
    """The same unit for the kernels and for the reference."""
    config = UnitConfig(lanes=lanes, **(KINDS[kind] | changes))
    formats = {"af_bits": config.af_bits, "exp_bits": config.exp_bits}
    unit = Unit(
        lanes, config.accumulator, fmt=AfFormat(config.af_bits, config.exp_bits),
        passes_terms=config.terms if config.takes_codes else 0,
    )  # fmt: skip
    return UnitDesign(config, SfuConfig(lanes=lanes, **formats)), unit


def first_wrong(wanted: dict[str, NDArray[Any]], found: dict[str, NDArray[Any]]) -> str:
    """The first stage that differs, and "" where none does."""
    for stage in STAGES:
        if wanted[stage].shape != found[stage].shape:
            return f"{stage}: shape"
        wrong = np.argwhere(wanted[stage].astype(np.int64) != found[stage].astype(np.int64))
        if len(wrong):
            place = tuple(wrong[0].tolist())
            return (
                f"{stage}: {len(wrong)} differ, first at {place}: {wanted[stage][place]} wanted, "
                f"{found[stage][place]} found"
            )
    return ""


def check(
    client: UnitClient, case: Case, lanes: int, kind: str, text: str | None = None, **changes: Any
) -> str:
    design, unit = units(lanes, kind, **changes)
    found = client.layer(design, case.x, case.layer, unit, text=text)
    return first_wrong(encoder_layer(case.x, case.layer, unit), found)


# lanes; hidden, heads, ffn, tokens: no multiples of the lanes but the head width
SMALL = {
    "af": ((4, (48, 3, 50, 11)), (8, (64, 4, 130, 21))),
    "shift1": ((8, (64, 4, 99, 19)),),
    "shift2": ((4, (48, 3, 50, 13)),),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device", DEVICES)
def test_every_stage_is_golden(device: str, kind: Codes, on: Client) -> None:
    for lanes, sizes in SMALL[kind]:
        for spans in (False, True):
            case = random_layer(*sizes, kind, spans)
            assert check(on(device), case, lanes, kind) == "", (lanes, sizes, spans)


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_exact_accumulators_and_buffers_of_other_sizes(device: str, on: Client) -> None:
    case = random_layer(32, 2, 24, 7, "shift2", spans=True)
    assert check(on(device), case, 2, "shift2", accumulator="exact", a_buffer=4096) == ""
    case = random_layer(32, 2, 24, 1)
    assert check(on(device), case, 16, "af", accumulator="exact") == ""


def test_another_launch_and_other_lengths_on_the_same_build(on: Client) -> None:
    """Nothing is left over from the layer before."""
    cases = [random_layer(64, 4, 96, length, "af", spans) for length, spans in (
        (40, True), (3, False), (40, False), (1, True)
    )]  # fmt: skip
    for device in ("pocl", "intel-fpga-emu"):
        for case in (*cases, *cases[::-1]):
            assert check(on(device), case, 8, "af") == ""


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_channels_as_deep_as_in_hardware(device: str, on: Client) -> None:
    case = random_layer(16, 4, 24, 9, "af", spans=True)
    design, unit = units(4, "af")
    found = on(device).layer(design, case.x, case.layer, unit, strict=True)
    assert first_wrong(encoder_layer(case.x, case.layer, unit), found) == ""


# name: text of the kernels, what stands in its place, the first stage that must be wrong
FAULTS = {
    "gamma and beta swapped": (
        "s->gamma[lane] = tables[at + lane];\n      s->beta[lane] = tables[at + SF_LANES + lane];",
        "s->beta[lane] = tables[at + lane];\n      s->gamma[lane] = tables[at + SF_LANES + lane];",
        "norm1",
    ),
    "off-by-one shift": (
        "ints_t places = s->shift.v[v], offset",
        "ints_t places = s->shift.v[v] + 1, offset",
        "q",
    ),
    "wrong exponent add": ("SF_TREES_OF_INTS(b.exp + exp)", "SF_TREES_OF_INTS(b.exp | exp)", "q"),
    "stale mask table": (
        "job.function == SF_SOFTMAX && job.masked ? SF_MASK",
        "job.function == SF_SOFTMAX && job.masked && job.table == 0 ? SF_MASK",
        "probabilities",
    ),
    "mask by the column": ("(int)abs(apart - lane)", "(int)abs(lane)", "probabilities"),
    "part of another head": (
        "const int strip = s->part * s->job.c_part_strips + s->row;",
        "const int strip = s->part + s->job.c_parts * s->row;",
        "q",
    ),
    "biases of the sum": ("a_up = job->a_bias - least", "a_up = job->b_bias - least", "add1"),
    "mean dropped": ("sf_rhe(16 * c[lane] - s->mean[s->line]", "sf_rhe(16 * c[lane]", "norm1"),
    "GELU cut early": ("u >= (4u << SF_F)", "u >= (1u << SF_F)", "gelu"),
    "sum not divided by": (
        "sf_power(sf_log2_of(d) + s->scale[s->line])", "sf_power(sf_log2_of(d))", "probabilities",
    ),
}  # fmt: skip


def test_planted_faults_are_found_at_their_stage(on: Client) -> None:
    made = random_layer(16, 4, 24, 11, "af", spans=True)
    biases = {**made.layer.biases, "attention_output": made.layer.biases["input"] - 2}
    case = replace(made, layer=replace(made.layer, biases=biases))
    design, _ = units(4, "af")
    text = render_edgebert(design)
    assert check(on("intel-cpu"), case, 4, "af", text) == ""
    for name, (old, new, stage) in FAULTS.items():
        assert text.count(old) >= 1, name
        found = check(on("intel-cpu"), case, 4, "af", text.replace(old, new))
        assert found.split(":")[0] == stage, f"{name}: {found}"


def test_a_fault_of_the_passes_is_found(on: Client) -> None:
    case = random_layer(16, 4, 24, 11, "shift2")
    design, _ = units(4, "shift2")
    text = render_edgebert(design)
    old, new = "vmac_bit(code, 2 * pass + 1)", "vmac_bit(code, 2 * pass)"
    assert text.count(old) == 1
    found = check(on("intel-cpu"), case, 4, "shift2", text.replace(old, new))
    assert found.startswith("scores:")


def hanging() -> tuple[Case, str]:
    """A layer, and kernels whose store never says to fetch_b that a command is done."""
    text = render_edgebert(units(4, "af")[0])
    for old in ("SF_WRITE(next_b, command + 1);", "SF_WRITE(next_b, store_command);"):
        assert text.count(old) == 1
        text = text.replace(old, "")
    return random_layer(16, 4, 24, 7), text


def test_a_stop_of_the_lowered_kernels_is_reported(on: Client) -> None:
    case, text = hanging()
    with pytest.raises(RuntimeError, match=r"stopped in command 1, row tile 0; channels: .*next_b"):
        on("intel-cpu").layer(units(4, "af")[0], case.x, case.layer, units(4, "af")[1], text=text)


@pytest.mark.device("intel-fpga-emu")
def test_a_process_of_its_own_ends_a_hang(lowered: str) -> None:
    case, text = hanging()
    design, unit = units(4, "af")
    with pytest.raises(CheckFailed, match="fetch_b reads empty channel next_b"):
        run_layer(
            design,
            "intel-fpga-emu",
            case.x,
            case.layer,
            unit,
            text=text,
            limits=Limits(stall_s=2.0),
        )
    with pytest.raises(ToolFailed, match=r"no result within 0\.2 seconds"):
        run_layer(design, lowered, case.x, case.layer, unit, limits=Limits(0.2))
    with pytest.raises(InputError, match="1 terms a pass"):
        run_layer(design, lowered, case.x, case.layer, replace(unit, passes_terms=1))
    with pytest.raises(InputError, match="unknown device"):
        run_layer(design, "gpu", case.x, case.layer, unit)


def test_a_process_of_its_own_gives_the_stages_and_products(lowered: str) -> None:
    case, (design, unit) = random_layer(16, 4, 24, 7), units(4, "af")
    found = run_layer(design, lowered, case.x, case.layer, unit, warm=True)
    wanted = encoder_layer(case.x, case.layer, unit)
    assert first_wrong(wanted, found.stages) == "" and tuple(found.stages) == STAGES
    assert 0 < found.seconds < 60 and found.build_seconds > 0
    product = run_product(
        design.config,
        lowered,
        ProductOperands(case.x, case.layer.q.codes, np.array(6), np.array(1)),
        ProductOptions(fixed=True),
    )
    acc = matmul_af(case.x, case.layer.q.codes.T, 4)
    assert np.array_equal(product.values, post_fixed(acc, 6, 1))


def test_what_does_not_suit_is_refused(on: Client) -> None:
    case = random_layer(64, 4, 96, 21)
    design, unit = units(8, "af")

    def changed(**fields: int) -> UnitDesign:
        return replace(design, config=replace(design.config, **fields))

    def refused(match: str, layer: Any = case.layer, x: Any = case.x, unit: Unit = unit,
                design: UnitDesign = design) -> None:  # fmt: skip
        with pytest.raises(InputError, match=match):
            check_layer(design, x, layer, unit)

    check_layer(design, case.x, case.layer, unit)
    fewer = {k: v for k, v in case.layer.biases.items() if k not in ("gelu", "add1")}
    refused("(?s)no exponent bias for add1.*for gelu", replace(case.layer, biases=fewer))
    refused("head width 64/3", replace(case.layer, heads=3))
    refused("head width 4", replace(case.layer, heads=16))
    refused("asked for", unit=replace(unit, n=16))
    refused("1 terms a pass", unit=replace(unit, passes_terms=1))
    refused("q has af weights", design=units(8, "shift1")[0])
    refused("multiplies no activations", design=units(8, "shift1", attention="none")[0])
    refused("leave the unit's buffers", design=changed(a_buffer=1024))
    refused("give codes", x=case.x[0])
    long = random_layer(64, 4, 96, 33)
    refused("33 tokens -> at most 32", long.layer, long.x, design=changed(aux_buffer=1024))
    far = replace(case.layer, biases={**case.layer.biases, "input": 60})
    with pytest.raises(RuntimeError, match="at most 16 apart"):
        on("intel-cpu").layer(design, case.x, far, unit)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device", DEVICES)
def test_albert_base_layer(device: str, kind: Codes, on: Client) -> None:
    case = random_layer(768, 12, 3072, 128, kind, spans=True)
    design, unit = units(16, kind)
    found = on(device).layer(design, case.x, case.layer, unit, limit_s=300.0)
    print(f"{device} {kind}: {float(found['seconds']):.2f} s")
    assert first_wrong(encoder_layer(case.x, case.layer, unit), found) == ""
