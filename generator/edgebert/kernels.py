"""OpenCL text of the EdgeBERT processing unit, from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from shiftforge import __version__
from shiftforge.generator.channel import Channel
from shiftforge.generator.edgebert.kernel_fields import COMMAND_FIELDS, FUNCTIONS
from shiftforge.generator.edgebert.sfu import LN2, LOG2E, SfuConfig, sfu_tables
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.escape import verbatim
from shiftforge.generator.render import MAX_VECTOR, render

__all__ = ["auxiliary_words", "channel_bytes", "render_edgebert", "unit_channels", "unit_kernels"]

# operand: name, buffer, whether its tile is the inner loop's, channel of a sum
_OPERANDS = (
    ("a", "A", "s->job.transposed", "left"),
    ("b", "B", "!s->job.transposed", "right"),
)
_TABLE_TEXTS = {
    "exp2": "2^(-i/32), 15 fraction bits",
    "log2": "log2(1 + i/64), 15 fraction bits",
    "rsqrt0": "1 / sqrt(1 + i/32), 15 fraction bits",
    "rsqrt1": "1 / sqrt(2 + i/16), 15 fraction bits",
    "gelu": "u - gelu_new(u) at u = i/32, 16 fraction bits",
}
_TOKENS = 2


@dataclass(frozen=True)
class _Stage:
    """A kernel as the scheduler steps it."""

    name: str
    memory: bool
    arguments: str = ""


def unit_kernels(sfu: SfuConfig | None = None) -> tuple[str, ...]:
    """The kernels' names; without ``sfu`` those of the matrix part."""
    return tuple(stage.name for stage in _stages(sfu))


def auxiliary_words(config: UnitConfig) -> int:
    """Words of n 32-bit values in the auxiliary buffer.

    They hold a row tile: rows of as many elements of fixed point, or four times as many codes.
    """
    return config.aux_buffer // (4 * config.lanes)


def unit_channels(design: UnitDesign) -> tuple[Channel, ...]:
    """The FIFOs between the kernels; two tiles' rows deep, which no stage waits for."""
    depth = 2 * design.config.lanes
    matrix = (
        Channel("a", "vec_t", "fetch_a", "vmac", depth),
        Channel("b", "vec_t", "fetch_b", "vmac", depth),
        Channel("sums", "sums_t", "vmac", "post", depth),
        Channel("code", "vec_t", "post", "store", depth),
        Channel("fixed", "fixed_t", "post", "store", depth),
    )
    special = (
        Channel("left", "vec_t", "fetch_a", "sfu", depth),
        Channel("right", "vec_t", "fetch_b", "sfu", depth),
        Channel("rows", "fixed_t", "post", "sfu", depth),
        Channel("result", "vec_t", "sfu", "store", depth),
    )
    # Last, as the FIFOs of a lowered build lie one after the other: their words are the shortest.
    order = (
        Channel("next_a", "int", "store", "fetch_a", _TOKENS),
        Channel("next_b", "int", "store", "fetch_b", _TOKENS),
    )
    return (*matrix, *(special if design.sfu else ()), *order)


def channel_bytes(config: UnitConfig, channel: Channel) -> int:
    """Bytes of a word of a channel."""
    lanes, accumulator = config.lanes, 8 if config.acc_bits > 32 else 4
    sizes = {"vec_t": lanes, "sums_t": accumulator * lanes, "fixed_t": 4 * lanes, "int": 4}
    return sizes[channel.type]


def render_edgebert(design: UnitDesign) -> str:
    """The whole device text of a unit: one file, the same for every device and for hardware.

    Without special functions the matrix part alone. Raises InputError where the parts do not suit.
    """
    design.check()
    config, sfu = design.config, design.sfu
    vector = min(config.lanes, MAX_VECTOR)
    kernels = files("shiftforge.kernels")
    terms = "one term" if config.terms == 1 else "two terms"
    name = f"AdaptivFloat<{config.af_bits},{config.exp_bits}>"
    exact = f"exact {config.acc_bits}-bit"
    values: dict[str, Any] = {
        "version": __version__,
        "lanes": config.lanes,
        "vector": vector,
        "vectors": config.lanes // vector,
        "af_bits": config.af_bits,
        "exp_bits": config.exp_bits,
        "man_bits": config.man_bits,
        "weights": config.weights,
        "terms": config.terms,
        "weight_text": name if config.weights == "af" else f"SHIFT4 of {terms}",
        "takes_codes": config.takes_codes,
        "passes": config.passes,
        "acc_bits": config.acc_bits,
        "acc_text": "saturating 32-bit" if config.accumulator == "sat32" else exact,
        "acc_store": 64 if config.acc_bits > 32 else 32,
        "wide_tree": config.sum_bits > 32,
        "wide_term": config.product_bits > 32,
        "a_rows": config.a_rows // 2,
        "b_rows": config.b_rows // 2,
        "c_rows": config.c_rows // 2,
        "functions": FUNCTIONS,
        "job_fields": COMMAND_FIELDS,
        "operands": _OPERANDS,
        "channels": unit_channels(design),
        "hardware_depths": False,
        "stages": _stages(sfu),
        "af_include": verbatim(kernels.joinpath("adaptivfloat.clh").read_text("utf-8").rstrip()),
        "shift_include": verbatim(kernels.joinpath("shift.clh").read_text("utf-8").rstrip()),
        "sfu": sfu,
    }
    if sfu is not None:
        values |= {
            "aux_words": auxiliary_words(config),
            "log2e": LOG2E,
            "ln2": LN2,
            "tables": [
                {"name": t.name, "text": _TABLE_TEXTS[t.name], "entries": t.entries}
                for t in sfu_tables()
            ],
            "sfu_include": verbatim(kernels.joinpath("sfu.clh").read_text("utf-8").rstrip()),
        }
    return render("edgebert/opencl/unit.cl.j2", values)


def _stages(sfu: SfuConfig | None) -> tuple[_Stage, ...]:
    special = () if sfu is None else (_Stage("sfu", True, ", tables, outcome SF_TRACED"),)
    return (
        _Stage("fetch_a", True),
        _Stage("fetch_b", True),
        _Stage("vmac", True),
        _Stage("post", False, ", shift, bias"),
        *special,
        _Stage("store", True, ", masks, values, beats, fixed"),
    )
