"""OpenCL text of the EdgeBERT processing unit's matrix part, from the unit's configuration."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from shiftforge import __version__
from shiftforge.generator.emit.opencl import MAX_VECTOR, render
from shiftforge.generator.plan.plan import Channel
from shiftforge.generator.plan.unit import UnitConfig

__all__ = ["KERNELS", "PRODUCT_FIELDS", "render_edgebert", "unit_channels"]

KERNELS = ("fetch_a", "fetch_b", "vmac", "post", "store")

PRODUCT_FIELDS = (
    ("m", "rows of A"),
    ("n", "columns of B"),
    ("m_tiles", "row tiles"),
    ("n_tiles", "column tiles"),
    ("k_tiles", "K-steps"),
    ("relu", "1: negative results become 0"),
    ("fixed", "1: the results stay fixed point"),
    ("transposed", "1: the result is drained by columns and stored transposed"),
    ("fraction", "fraction bits of the fixed point"),
    ("out_bias", "exponent bias of the AdaptivFloat results"),
)
"""The product descriptor: 32-bit integers, in this order."""

# operand: name, buffer, whether its tile is the inner loop's of a transposed (or a plain) product
_OPERANDS = (("a", "A", "job.transposed"), ("b", "B", "!job.transposed"))


def unit_channels(config: UnitConfig) -> tuple[Channel, ...]:
    """The FIFOs between the kernels; two tiles' rows deep, which no stage waits for."""
    depth = 2 * config.lanes
    return (
        Channel("a", "vec_t", "fetch_a", "vmac", depth),
        Channel("b", "vec_t", "fetch_b", "vmac", depth),
        Channel("sums", "sums_t", "vmac", "post", depth),
        Channel("code", "vec_t", "post", "store", depth),
        Channel("fixed", "fixed_t", "post", "store", depth),
    )


def render_edgebert(config: UnitConfig) -> str:
    """The whole device text of a unit: one file, the same for every device and for hardware."""
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
        "acc_bits": config.acc_bits,
        "acc_text": "saturating 32-bit" if config.accumulator == "sat32" else exact,
        "acc_store": 64 if config.acc_bits > 32 else 32,
        "wide_tree": config.sum_bits > 32,
        "a_rows": config.a_rows // 2,
        "b_rows": config.b_rows // 2,
        "c_rows": config.c_rows // 2,
        "product_fields": PRODUCT_FIELDS,
        "operands": _OPERANDS,
        "channels": unit_channels(config),
        "af_include": kernels.joinpath("adaptivfloat.clh").read_text("utf-8"),
        "shift_include": kernels.joinpath("shift.clh").read_text("utf-8"),
    }
    return render("opencl/edgebert.cl.j2", values)
