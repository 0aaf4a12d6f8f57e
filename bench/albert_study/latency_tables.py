"""Tables and the picture of ``latency.py``."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.common.machine import print_table
from bench.common.pictures import BLUE, GREEN, GREY, ORANGE, figure, save

__all__ = ["base_report", "draw_run", "run_report"]

SHADES = {
    "array": BLUE, "buffers": "#56b4e9", "functions": GREEN, "clock": ORANGE, "leakage": GREY,
    "regulator": "#d55e00", "switching": "#cc79a7",
}  # fmt: skip


def _head(found: Mapping[str, Any], title: str) -> None:
    supply = found["supply"]
    regulator = "loss-free" if supply is None else f"linear from {supply:g} V"
    print(f"# {title}\n\n    {found['command']}\n")
    print(
        f"Cycles measured on the RTL (n = {found['n']}); energy and clock modelled "
        f"({found['model']}, regulator {regulator}; docs/ENERGY_MODEL.md). Unit: all but the "
        "memory outside.\n"
    )


def _sources(found: Mapping[str, Any]) -> None:
    print("\nCoefficients:\n")
    for name, text in found["sources"].items():
        print(f"- {name}: {text}")
    points = ", ".join(f"{p['voltage']:.3f} V {p['frequency'] / 1e6:.0f}" for p in found["points"])
    print(f"- V/F (MHz): {points}")


def base_report(found: Mapping[str, Any]) -> str:
    """Every predicted exit layer of ALBERT-base at each target."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        _head(found, "ALBERT-base, 12 layers, sequence 128")
        print(
            f"{found['layer_cycles']:,} cycles a layer. Each sentence leaves at the layer that was "
            "predicted; embeddings and off-ramps are not counted. Saving: times less than all "
            "layers at nominal V/F; on early exit: than the same layer at nominal V/F.\n"
        )
        head = ["target", "exit layer", "V", "MHz", "ms", "unit, uJ", "saving",
                "on early exit", "with memory, uJ", "saving"]  # fmt: skip
        body = [
            [
                f"{r['target_ms']:g} ms",
                str(r["layer"]),
                f"{r['voltage']:.3f}" + (" late" if r["late"] and r["layer"] > 1 else ""),
                f"{r['mhz']:.0f}",
                f"{r['latency_ms']:.1f}",
                f"{r['unit']:,.0f}",
                f"{r['full_unit'] / r['unit']:.2f}",
                f"{r['early_unit'] / r['unit']:.2f}",
                f"{r['total']:,.0f}",
                f"{r['full_total'] / r['total']:.2f}",
            ]
            for r in found["rows"]
        ]
        print_table(head, body)
        _sources(found)
    return text.getvalue()


def _met(mode: Mapping[str, Any]) -> str:
    """Share of texts within each target, in the order of the targets."""
    return ", ".join(f"{100 * share:.1f}" for share in mode["met"].values()) + " %"


def run_report(found: Mapping[str, Any]) -> str:
    """The modes of a classifier over held-out texts."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        _head(found, "Sentence-level latency and energy")
        print(
            f"{found['texts']} held-out texts, {found['layers']} layers, exit at "
            f"{found['threshold']:g} nats, predictor fitted on {found['fitted_on']} validation "
            f"texts. Targets are of {found['longest_us']:.1f} us, the longest text through all "
            "layers at nominal V/F. Met: share of the texts within the target; of the first two "
            "modes within each.\n"
        )
        head = ["mode", "target, us", "accuracy", "exit layer", "predicted", "V", "latency, us",
                "longest", "met", "unit, nJ", "saving", "with memory, nJ", "saving"]  # fmt: skip
        base = found["modes"][0]
        body = [
            [
                m["mode"],
                "-" if m["target_us"] is None else f"{m['target_us']:.1f}",
                f"{100 * m['accuracy']:.2f} %",
                f"{m['layer']:.2f}",
                "-" if m["predicted"] is None else f"{m['predicted']:.2f}",
                f"{m['voltage']:.3f}",
                f"{m['latency_us']:.1f}",
                f"{m['longest_us']:.1f}",
                _met(m),
                f"{m['unit']:,.0f}",
                f"{base['unit'] / m['unit']:.2f}",
                f"{m['energy']:,.0f}",
                f"{base['energy'] / m['energy']:.2f}",
            ]
            for m in found["modes"]
        ]
        print_table(head, body)
        names = [name for name in base["parts"] if any(m["parts"][name] for m in found["modes"])]
        print("\nnJ a sentence, by part:\n")
        print_table(
            ["mode", "target, us", *names],
            [
                [*row[:2], *(f"{m['parts'][name]:,.1f}" for name in names)]
                for row, m in zip(body, found["modes"], strict=True)
            ],
        )
        cycles = ", ".join(f"{tokens}: {own:,}" for tokens, own in found["cycles"].items())
        print(f"\nCycles of a sentence through all layers, by tokens: {cycles}.")
        _sources(found)
    return text.getvalue()


def draw_run(found: Mapping[str, Any], name: str, folder: Path) -> None:
    """The unit's energy by part, and latency, of each mode."""
    made = figure(11, 4.2, columns=2)
    if made is None:
        return
    drawn, (energy, time) = made
    modes, longest = found["modes"], found["longest_us"]
    ticks = [
        m["mode"].replace(" ", "\n", 1)
        + ("" if m["target_us"] is None else f"\n{m['target_us'] / longest:.2g}x")
        for m in modes
    ]
    places = list(range(len(modes)))
    bottom = [0.0] * len(modes)
    for part, colour in SHADES.items():
        values = [m["parts"][part] / 1000 for m in modes]
        if any(values):
            energy.bar(places, values, bottom=bottom, color=colour, label=part, width=0.65)
            bottom = [a + b for a, b in zip(bottom, values, strict=True)]
    time.bar(places, [m["latency_us"] for m in modes], color=BLUE, width=0.65, label="average")
    time.plot(places, [m["longest_us"] for m in modes], "_", color=GREY, markersize=26,
              label="longest")  # fmt: skip
    aware = [(p, m["target_us"]) for p, m in zip(places, modes, strict=True) if m["target_us"]]
    time.plot([p for p, _ in aware], [t for _, t in aware], "_", color=ORANGE, markersize=26,
              markeredgewidth=2, label="target")  # fmt: skip
    for axis in (energy, time):
        axis.set_xticks(places, ticks)
        axis.grid(axis="x", visible=False)
        axis.legend(fontsize=8)
    energy.set(ylabel="uJ a sentence", title="Energy of the unit, modelled")
    time.set(ylabel="us", title="Latency: measured cycles, modelled clock")
    save(drawn, name, folder)
