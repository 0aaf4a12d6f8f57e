"""``shiftforge emulate``: a generated project on an OpenCL device, held against the reference."""

from __future__ import annotations

from pathlib import Path

import click

from shiftforge.cli.options import (
    frame_options,
    json_option,
    threshold_option,
    time_limit_option,
)
from shiftforge.errors import CheckFailed, InputError

__all__ = ["command"]


@click.command("emulate", short_help="Run a project on an OpenCL device, bit for bit.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--device", required=True, metavar="NAME", help="pocl, intel-cpu or intel-fpga-emu.")
@frame_options
@click.option("--check", is_flag=True, help="Compare every layer, not the output alone.")
@threshold_option("A text classifier's:")
@time_limit_option("End the device's run after this long.")
@json_option
def command(
    folder: Path,
    device: str,
    source: str,
    limit: int | None,
    data_dir: Path | None,
    check: bool,
    threshold: float | None,
    time_limit: float,
    as_json: bool,
) -> None:
    """Run the project in DIR (made by `generate`) and compare with the reference, bit for bit.

    INPUT is an image, a folder of images, an .npy batch, fashion-mnist:test, random:SEED or photos;
    for a text classifier a file of texts, one a line, - for standard input, bbc:held-out[:N],
    sentiment:held-out[:N] or random:SEED. Exit code 1 when any integer differs.
    """
    from shiftforge.cli.albert_project import is_albert_project, refuse_options

    if is_albert_project(folder):
        from shiftforge.cli.albert_emulate import emulate_texts

        emulate_texts(
            folder,
            device,
            source,
            limit=limit,
            threshold=threshold,
            check=check,
            time_limit=time_limit,
            problems=refuse_options(["data_dir"], "is for images"),
            as_json=as_json,
        )
        return
    from shiftforge.cli.output import note, print_json, print_table, progress
    from shiftforge.sim.conv.emulation import codes_of, emulate_codes
    from shiftforge.sim.conv.frames import model_and_frames

    refused = refuse_options(["threshold"], "is for text classifiers")
    if refused:
        raise InputError(refused)
    model, frames = model_and_frames(folder, [device], source, limit, data_dir)
    note(f"{len(frames)} samples of {source} on {device}")
    with progress() as advance:
        report = emulate_codes(
            folder,
            model,
            device,
            codes_of(model, frames.images),
            frames.labels,
            check=check,
            time_limit_s=time_limit,
            progress=advance,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        rows = [
            ("device", report.device),
            ("platform", report.platform),
            ("channels", report.channels),
            ("samples", f"{report.samples:,}"),
            ("compared", f"{report.checked}: {report.elements:,} integers"),
            ("mismatches", f"{report.mismatches:,}"),
            ("seconds a sample", f"{report.seconds_per_sample:.4f} (emulated, not the FPGA's)"),
        ]
        if report.top1 is not None:
            rows.insert(4, ("top-1 accuracy", f"{report.top1:.2%}"))
        print_table("", ("", str(folder)), rows)
        if report.top1 is None:
            classes = report.outputs.argmax(axis=1)
            print_table(
                "first samples",
                ("sample", "class"),
                [
                    (name, f"{c} {model.labels[c] if c < len(model.labels) else ''}")
                    for name, c in list(zip(frames.names, classes, strict=True))[:10]
                ],
            )
    if not report.bit_exact:
        from shiftforge.sim.compare_text import divergence_text

        raise CheckFailed(divergence_text(report.divergence, "golden", device))
