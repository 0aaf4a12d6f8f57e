"""What ``shiftforge unit`` prints of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shiftforge.sim.edgebert.rtl.encoder_cosim import LayerReport
    from shiftforge.sim.edgebert.rtl.matmul_cosim import CosimReport

__all__ = ["print_report"]


def print_report(report: CosimReport | LayerReport) -> None:
    """Tables of the unit, its cycles, and of a layer its stages and commands."""
    from shiftforge.cli.output import print_table
    from shiftforge.sim.edgebert.rtl.matmul_cosim import CosimReport

    terms = f", {report.terms} term{'s' if report.terms > 1 else ''}"
    kernels = "not compared"
    if report.opencl is not None:
        kernels = f"{report.opencl}, {report.opencl_seconds:.1f} s"
    rows = [
        ("unit", report.unit),
        ("n", report.n),
        ("weights", report.weights + (terms if report.weights == "shift" else "")),
        ("accumulator", report.accumulator),
        ("buffers", ", ".join(f"{size:,}" for size in report.buffers) + " bytes"),
        ("opencl", kernels),
        ("vectors", f"{report.vectors:,} ({report.codes:,} values)"),
        ("mismatches", f"{report.mismatches:,}"),
        ("cycles", f"{report.cycles:,}"),
        ("ideal_cycles", f"{report.ideal_cycles:,}"),
        ("utilisation", f"{report.utilisation:.1%}"),
        ("cycles_per_second", f"{report.cycles_per_second:,.0f} (simulated)"),
    ]
    what = "dense and sparse"
    if not isinstance(report, CosimReport):
        what = "random layer" if report.layers == 1 else f"{report.layers} random layers"
        parts = (f"{part} {seconds:.1f}" for part, seconds in report.wall.items())
        rows.append(("wall_seconds", ", ".join(parts)))
    print_table("", ("", "x".join(map(str, report.shape)) + ", " + what), rows)
    if not isinstance(report, CosimReport):
        _print_layer(report)


def _print_layer(report: LayerReport) -> None:
    from shiftforge.cli.output import print_table

    print_table(
        "Values that differ from golden",
        ("Stage", "values", "RTL", report.opencl or "OpenCL"),
        [
            (
                check.stage,
                f"{check.values:,}",
                check.malformed or f"{check.rtl:,}",
                "-" if check.opencl is None else f"{check.opencl:,}",
            )
            for check in report.stages
        ],
    )
    if report.layers > 1:
        print_table(
            "Layers",
            ("Layer", "values", "differ", "cycles", "ideal", "ratio"),
            [
                (
                    str(row.layer),
                    f"{row.values:,}",
                    f"{row.mismatches:,}",
                    f"{row.cycles:,}",
                    f"{row.ideal_cycles:,}",
                    f"{row.cycles / row.ideal_cycles:.3f}",
                )
                for row in report.by_layer
            ],
        )
    print_table(
        "Commands",
        ("Command", "runs", "cycles", "ideal", "ratio", "array busy", "no A row", "no B tile"),
        [
            (
                total.name,
                total.commands,
                f"{total.cycles:,}",
                f"{total.ideal_cycles:,}",
                f"{total.cycles / total.ideal_cycles:.3f}" if total.ideal_cycles else "-",
                f"{total.busy:,}",
                f"{total.wait_a:,}",
                f"{total.wait_b:,}",
            )
            for total in report.commands
        ],
    )
