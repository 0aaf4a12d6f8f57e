"""A user's own network: package.module:factory."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import torch

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.types import Preprocess

__all__ = ["load_factory", "load_module"]

DEFAULT_SHAPE = (3, 224, 224)


def _configured_shape(network: torch.nn.Module) -> tuple[int, int, int]:
    """(C, H, W) of a transformers configuration, DEFAULT_SHAPE without one."""
    config = getattr(network, "config", None)
    channels, size = getattr(config, "num_channels", None), getattr(config, "image_size", None)
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    shape = (channels, *sides)
    if len(shape) != 3 or not all(type(n) is int and n > 0 for n in shape):
        return DEFAULT_SHAPE
    return shape


def load_factory(
    source: str,
    *,
    resolution: int | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> FloatGraph:
    """Import a callable that takes nothing and returns a torch.nn.Module, and capture that.

    The factory or the module it returns may carry attributes: ``preprocess``, a Preprocess;
    ``input_shape``, (C, H, W), by default the preprocessing's, that of the module's ``config``
    (``num_channels`` and ``image_size``, as transformers has them) or (3, 224, 224); ``labels``,
    class names. Without ``preprocess``, pixels are normalised to [-1, 1]. resolution overrides
    height and width, input_shape all three. The current folder is importable. Importing runs the
    user's own code.

    Raises InputError where the import, the call or an attribute is no good.
    """
    module_name, _, attribute = source.partition(":")
    problem: str
    path = str(Path.cwd())
    sys.path.insert(0, path)
    try:
        made = importlib.import_module(module_name)
        factory = getattr(made, attribute)
        network = factory()
    except (
        ImportError,
        AttributeError,
        SyntaxError,
        NameError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        OSError,
    ) as error:
        problem = f"it cannot be imported and called: {type(error).__name__}: {error}"
        remedy = "name a function without arguments that returns a torch.nn.Module"
        raise InputError(Problem(problem, remedy, source)) from error
    finally:
        if path in sys.path:
            sys.path.remove(path)
    if not isinstance(network, torch.nn.Module):
        problem = f"it returns {type(network).__name__}"
        raise InputError(Problem(problem, "return a torch.nn.Module", source))

    return load_module(
        network, source, resolution=resolution, factory=factory, input_shape=input_shape
    )


def load_module(
    network: torch.nn.Module,
    source: str,
    *,
    resolution: int | None = None,
    factory: object = None,
    input_shape: tuple[int, int, int] | None = None,
) -> FloatGraph:
    """Capture a module, with what it or its factory carries (see ``load_factory``).

    source: what it is called; its last part names the network. input_shape: (C, H, W) in place of
    what they carry. Raises InputError.
    """

    def carried(name: str) -> object:
        return getattr(factory, name, None) or getattr(network, name, None)

    preprocess, shape = carried("preprocess"), input_shape or carried("input_shape")
    if preprocess is not None and not isinstance(preprocess, Preprocess):
        problem = f"its attribute preprocess is a {type(preprocess).__name__}"
        raise InputError(Problem(problem, "make it a Preprocess", source))
    if shape is None:
        p = preprocess
        shape = _configured_shape(network) if p is None else (p.channels, p.height, p.width)
    if (
        not isinstance(shape, (tuple, list))
        or len(shape) != 3
        or not all(isinstance(n, int) and n > 0 for n in shape)
    ):
        problem = f"its attribute input_shape is {shape!r}"
        raise InputError(Problem(problem, "make it (C, H, W)", source))
    channels, height, width = shape
    if resolution is not None:
        height = width = resolution
    half = (0.5,) * channels
    usual = Preprocess(channels, height, width, half, half)
    taken = usual if preprocess is None else preprocess.at(height, width)
    mean, std = taken.mean, taken.std
    if len(mean) != channels or len(std) != channels:
        problem = f"preprocess normalises {len(mean)} channels, input_shape has {channels}"
        raise InputError(Problem(problem, "give both the same channels", source))
    labels = carried("labels")
    names = tuple(str(n) for n in labels) if isinstance(labels, (tuple, list)) else ()
    return capture(
        network,
        (channels, height, width),
        replace(taken, channels=channels, mean=tuple(mean), std=tuple(std)),
        source.rpartition(":")[2],
        names,
    )
