"""SystemVerilog of the special function unit: one module a function, n lanes wide."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from shiftforge import __version__
from shiftforge.generator.edgebert.rtl_latency import TO_AF_LATENCY
from shiftforge.generator.edgebert.sfu import LN2, LOG2E, SfuConfig, sfu_tables
from shiftforge.generator.render import render

__all__ = ["render_sfu", "sfu_values"]

FOLDER = "edgebert/rtl/sfu"
SUFFIX = ".sv.j2"
SHARED = ("pu_af_decode", "pu_fixed_to_af", "pu_ram", "pu_to_af")


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
        "to_af_latency": TO_AF_LATENCY,
    }


def render_sfu(config: SfuConfig) -> dict[str, str]:
    """The synthesizable files by name; each function's module is a top of its own."""
    values = sfu_values(config)
    header = render("edgebert/rtl/header.j2", values)
    found = {f"{name}.sv": header + render(f"edgebert/rtl/{name}.sv.j2", values) for name in SHARED}
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
