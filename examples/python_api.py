"""The whole flow from Python: quantise, generate, run, compare. Takes about a minute."""

from __future__ import annotations

import tempfile
from pathlib import Path

import shiftforge


def main() -> None:
    """Quantise the shipped MobileNetV2 and run its kernels with real channels."""
    # A network: a built-in example here; a Hugging Face folder, .pth or .h5 works the same way.
    # Does all of it map, and onto what array? Nothing is calibrated yet; figures are modelled.
    report = shiftforge.check("mobilenet_v2_fashion", "a10gx1150")
    print(f"{len(report.rows)} nodes, all map: {report.maps}")

    model = shiftforge.quantize("mobilenet_v2_fashion", scheme="shift", bits=4, terms=2)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fashion"
        design = shiftforge.generate(model, "a10gx1150", output=folder)
        print(
            f"{design.report['lanes']} lanes, {design.report['modelled_cycles']:,} cycles a frame"
        )

        # Classify on Intel's FPGA emulator; every layer is held against the numpy reference.
        run = shiftforge.emulate(
            folder, "intel-fpga-emu", input="fashion-mnist:test", limit=4, check=True
        )
        names = [model.labels[c] for c in run.outputs.argmax(axis=1)]
        print(f"{run.samples} images: {', '.join(names)}; {run.mismatches} mismatches")

        # Where does the accuracy go? Float network against the integers, layer by layer.
        (pair,) = shiftforge.compare(
            folder, input="fashion-mnist:test", limit=4, pairs=(("float", "golden"),)
        )
        print(f"output SQNR {pair.figures['output_sqnr_db']:.1f} dB")


if __name__ == "__main__":
    main()
