"""SystemVerilog of the special function unit: one module a function, n lanes wide."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from shiftforge import __version__
from shiftforge.generator.edgebert import rtl_latency
from shiftforge.generator.edgebert.rtl_text import module_text
from shiftforge.generator.edgebert.sfu import LN2, LOG2E, SLOT_BITS, SfuConfig, sfu_tables
from shiftforge.generator.render import render

__all__ = ["render_rows_benches", "render_sfu", "sfu_values"]

FOLDER = "edgebert/rtl/sfu"
SUFFIX = ".sv.j2"
SHARED = ("pu_af_decode", "pu_ram", "pu_to_af")
STAGES = (
    *("add_latency", "af_to_fixed_stages", "centre_stages", "exp2_stages", "exp_lane_stages"),
    *("exp_log_stage", "exp_row_stages", "gelu_stages", "log2_stages", "mean_stages"),
    *("normalise_stages", "root_stages", "round_stages", "to_af_latency"),
)
"""Values of the templates that are counted in ``rtl_latency``."""

ROWS = {
    "softmax": {"out_bias": 7},
    "entropy": {"threshold": 32},
    "layernorm": {
        **{"recip": 25, "len_bits": 4, "root": 16, "root_shift": 3, "epsilon": 32},
        **{"gamma_frac": 4, "from_code": 1, "in_bias": 7, "out_bias": 7},
    },
}
"""Settings of the functions of rows, with their bits."""


def sfu_values(config: SfuConfig) -> dict[str, Any]:
    """What the templates are filled with."""
    n = config.lanes
    return {
        "version": __version__,
        "description": (
            f"{n} lanes, AF<{config.af_bits},{config.exp_bits}>, {config.fraction} fraction bits"
        ),
        "lanes": n,
        "lane_log": n.bit_length() - 1,
        "af_bits": config.af_bits,
        "exp_bits": config.exp_bits,
        "man_bits": config.man_bits,
        "frac": config.fraction,
        "row_bits": config.row.bit_length() - 1,
        "norm_bits": config.norm_row.bit_length() - 1,
        "predict_bits": config.predictor_rows.bit_length() - 1,
        "log2e": LOG2E,
        "ln2": LN2,
        "slot_bits": SLOT_BITS,
        "at_bits": SLOT_BITS + n.bit_length() - 1,
        "norm_y_stages": rtl_latency.norm_y_stages(config.fraction),
        **{name: getattr(rtl_latency, name.upper()) for name in STAGES},
    }


def render_sfu(config: SfuConfig) -> dict[str, str]:
    """The synthesizable files by name; each function's module is a top of its own."""
    values = sfu_values(config)
    header = render("edgebert/rtl/header.j2", values)
    found = {f"{name}.sv": module_text("edgebert/rtl", f"{name}.sv", values) for name in SHARED}
    for entry in files("shiftforge.templates").joinpath(FOLDER).iterdir():
        if entry.name.endswith(SUFFIX):
            text = render(f"{FOLDER}/{entry.name}", values)
            found[entry.name.removesuffix(".j2")] = header + text
    for table in sfu_tables():
        words = table.words
        rom = render(
            f"{FOLDER}/rom.j2",
            {"name": table.name, "words": words, "index_bits": len(words).bit_length() - 1},
        )
        found[f"sfu_rom_{table.name}.sv"] = header + rom
    return dict(sorted(found.items()))


def render_rows_benches(config: SfuConfig) -> dict[str, str]:
    """Modules that take rows for softmax, entropy and layer norm: each has a tile buffer and the
    function beside it, as ``pu_function`` has them, and settings that change between rows."""
    values = sfu_values(config)
    found = {}
    for function in ROWS:
        bits = values["norm_bits" if function == "layernorm" else "row_bits"]
        own = {"len": bits + 1, "last_row": values["lane_log"], "slots": SLOT_BITS + 1, "pause": 4}
        settings = {**ROWS[function], **own}
        if function == "softmax":
            settings["query"] = bits
        name = f"sfu_{function}_rows"
        more = {
            "name": name,
            "function": function,
            "settings": tuple(settings.items()),
            "len_bits": bits,
            "word_bits": bits + SLOT_BITS,
        }
        found[f"{name}.sv"] = render(f"{FOLDER}/rows_bench.j2", {**values, **more})
    return found
