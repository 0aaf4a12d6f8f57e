"""The package versions that the tests run with, for ``shiftforge doctor``."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TESTED", "Package"]


@dataclass(frozen=True)
class Package:
    """A package that some command needs.

    tested: the version in constraints.txt. extra: what installs it ("" for the base install).
    exact: only this version works. optional: commands work without it, purpose says what does not.
    """

    name: str
    tested: str
    extra: str
    purpose: str
    exact: bool = False
    optional: bool = False


TESTED: tuple[Package, ...] = (
    Package("numpy", "2.4.6", "", "all arithmetic"),
    Package("safetensors", "0.8.0", "", "model files"),
    Package("Jinja2", "3.1.6", "", "generate"),
    Package("pydantic", "2.14.3", "", "board files"),
    Package("pillow", "13.0.0", "", "images"),
    Package("rich", "15.0.0", "", "tables and progress"),
    Package("click", "8.5.1", "", "the command line"),
    Package("torch", "2.13.0", "torch", "quantize and train"),
    Package("transformers", "5.23.0", "torch", "quantize and train"),
    Package("h5py", "3.16.0", "keras", "quantize of Keras files", optional=True),
    Package("onnx", "1.23.2", "onnx", "quantize of ONNX files", optional=True),
    Package("pyopencl", "2026.1.4", "opencl", "emulate"),
    Package("pocl-binary-distribution", "3.0", "opencl", "emulate --device pocl", exact=True),
    Package("intel-opencl-rt", "2025.0.5", "opencl", "emulate --device intel-cpu", exact=True),
    Package(
        "intel-opencl-fpga-emu-rt",
        "2025.0.5",
        "opencl",
        "emulate --device intel-fpga-emu",
        exact=True,
    ),
    Package("intel-cmplr-lib-rt", "2025.0.5", "opencl", "both Intel devices", exact=True),
    Package("vl-convert-python", "1.9.0.post1", "report", "charts of report", optional=True),
    Package("graphviz-pure", "0.2.2", "report", "diagrams of report", optional=True),
    Package("scikit-image", "0.26.0", "photos", "photographs as input", optional=True),
    Package("scikit-learn", "1.9.1", "photos", "photographs as input", optional=True),
)
