"""A user's own network: package.module:factory."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.capture.carried import (
    NAMED,
    check_name,
    check_preprocess,
    labels_of,
    shape_of,
)
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.image_scale import fold_image_scale
from shiftforge.quant.capture.loaders.wrapped import unwrapped
from shiftforge.quant.capture.overrides import NOTHING, Overrides
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.capture.settle import settled
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.types import Preprocess

__all__ = ["load_factory", "load_module"]

DEFAULT_SHAPE = (3, 224, 224)


@contextmanager
def _importable(path: str) -> Iterator[None]:
    """A folder at the front of Python's path; what is printed meanwhile goes to stderr."""
    sys.path.insert(0, path)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if path in sys.path:
            sys.path.remove(path)


def _call(source: str) -> tuple[object, torch.nn.Module]:
    """The factory and what it returns. Whatever the user's code raises becomes InputError."""
    module_name, attribute = check_name(source)
    stage, remedy = (
        f"{module_name} cannot be imported",
        f"python -c 'import {module_name}' shows it",
    )
    network: object = None
    try:
        with _importable(str(Path.cwd())):
            made = importlib.import_module(module_name)
            stage = f"{module_name} has no {attribute}"
            remedy = _alike(made, attribute)
            factory = getattr(made, attribute)
            stage = f"{attribute} cannot be called without arguments"
            remedy = NAMED
            if not callable(factory):
                raise TypeError(f"it is a {type(factory).__name__}")
            stage = f"{attribute}() raised"
            call = f"from {module_name} import {attribute}; {attribute}()"
            remedy = f"mend it: python -c '{call}' shows where"
            network = factory()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and classes of the user's own
        if type(error).__name__ == "UnpicklingError":
            remedy = (
                "torch.load(PATH, weights_only=False) reads a whole pickled model, of a file that "
                "you trust"
            )
        what = f"it cannot be imported and called: {stage}: {reason(error)}"
        raise InputError(Problem(what, remedy, source)) from error
    if not isinstance(network, torch.nn.Module):
        what = f"it returns {type(network).__name__}"
        raise InputError(Problem(what, "return a torch.nn.Module", source))
    return factory, network


def _alike(module: object, attribute: str) -> str:
    """What a module has instead of an attribute that it has not."""
    try:
        own = [n for n, held in vars(module).items() if callable(held) and not n.startswith("_")]
        near = difflib.get_close_matches(attribute, own, 3) or sorted(own)[:8]
    except Exception:
        near = []
    return f"it has {', '.join(near)}" if near else NAMED


def load_factory(
    source: str,
    *,
    resolution: int | None = None,
    overrides: Overrides = NOTHING,
) -> FloatGraph:
    """Import a callable that takes nothing and returns a torch.nn.Module, and capture that.

    The factory or the module it returns may carry attributes: ``preprocess``, a Preprocess;
    ``input_shape``, (C, H, W), by default the preprocessing's, that of the module's ``config``
    (``num_channels`` and ``image_size``, as transformers has them) or (3, 224, 224); ``labels``,
    class names. Without ``preprocess``, pixels are normalised to [-1, 1]. resolution overrides
    height and width, overrides what its fields name. The current folder is importable. Importing
    runs the user's own code. The graph's notes tell what was taken from where.

    Raises InputError where the import, the call or an attribute is no good.
    """
    factory, network = _call(source)
    return load_module(network, source, resolution=resolution, factory=factory, overrides=overrides)


def load_module(
    network: torch.nn.Module,
    source: str,
    *,
    resolution: int | None = None,
    factory: object = None,
    overrides: Overrides = NOTHING,
) -> FloatGraph:
    """Capture a module, with what it or its factory carries (see ``load_factory``).

    source: what it is called; its last part names the network. overrides: what stands in place
    of what they carry. Raises InputError.
    """
    network = unwrapped(network)
    problems = Problems()
    carried = {
        name: problems.check(_carried, name, factory, network, source)
        for name in ("preprocess", "input_shape", "labels")
    }
    for name in ("input_shape", "labels"):
        if getattr(overrides, name) is not None:
            carried[name] = (getattr(overrides, name), "as given")
    given = carried["labels"]
    names = problems.check(labels_of, given[0], source) if given else ()
    taken = problems.check(_preprocess, carried, resolution, network, source, overrides)
    problems.stop()
    assert taken is not None and names is not None
    preprocess, note = taken
    shape = (preprocess.channels, preprocess.height, preprocess.width)
    if overrides.settle_batchnorm is not None:
        network = settled(network, preprocess, overrides.settle_batchnorm)
    graph = capture(network, shape, preprocess, source.rpartition(":")[2], names)
    left = tuple(f"{kind} of {name} is left to the host" for name, kind in graph.host.items())
    graph = replace(graph, notes=(note, *left))
    # What a user says of mean and std is said of what the network itself takes.
    own = overrides.mean is None and overrides.std is None
    return fold_image_scale(graph) if own else graph


def _carried(
    name: str, factory: object, network: torch.nn.Module, source: str
) -> tuple[Any, str] | None:
    """(value, whose) of an attribute of the factory or the network; None where neither has it.

    A method or a layer of the network's that happens to have the name is the network's own.
    """
    for holder, whose in ((factory, "the factory"), (network, "the network")):
        try:
            value = getattr(holder, name, None)
        except Exception as error:  # a property of the user's
            what = f"its attribute {name} cannot be read: {reason(error)}"
            raise InputError(Problem(what, "mend or remove it", source)) from error
        if value is not None and not (holder is network and callable(value)):
            return value, f"{name} of {whose}"
    return None


def _configured_shape(network: torch.nn.Module) -> tuple[int, int, int] | None:
    """(C, H, W) of a transformers configuration."""
    try:
        config = getattr(network, "config", None)
        channels, size = getattr(config, "num_channels", None), getattr(config, "image_size", None)
        sides = size if isinstance(size, tuple | list) else (size, size)
        return shape_of((channels, *sides), "")
    except Exception:
        return None


def _preprocess(
    carried: dict[str, tuple[Any, str] | None],
    resolution: int | None,
    network: torch.nn.Module,
    source: str,
    overrides: Overrides,
) -> tuple[Preprocess, str]:
    """What the host does to a picture, and a line on what was taken from where."""
    problems = Problems()
    known, shape = carried["preprocess"], carried["input_shape"]
    preprocess = problems.check(check_preprocess, known[0], source) if known else None
    size: tuple[int, int, int] | None
    if shape is not None:
        size, origin = problems.check(shape_of, shape[0], source), shape[1]
    elif preprocess is not None and known is not None:
        size, origin = (preprocess.channels, preprocess.height, preprocess.width), known[1]
    else:
        size, origin = _configured_shape(network), "num_channels and image_size of its config"
        if size is None:
            size, origin = DEFAULT_SHAPE, "assumed, for it carries no input_shape"
    if resolution is not None and size is not None:
        sides = (size[0], resolution, resolution)
        size, origin = (
            problems.check(shape_of, sides, source, "with the resolution, it"),
            "as given",
        )
    problems.stop()
    assert size is not None
    whole = overrides.mean is not None and overrides.std is not None
    if preprocess is not None and preprocess.channels != size[0] and whole:
        half = (0.5,) * size[0]  # in whose place mean and std come
        preprocess = replace(preprocess, channels=size[0], mean=half, std=half)
    if preprocess is not None and preprocess.channels != size[0]:
        what = f"preprocess normalises {preprocess.channels} channels, input_shape has {size[0]}"
        raise InputError(Problem(what, "give both the same channels", source))
    half = (0.5,) * size[0]
    taken, normalised = Preprocess(*size, half, half), "[-1, 1], assumed, for it carries no "
    normalised += "preprocess"
    if preprocess is not None and known is not None:
        taken, normalised = preprocess.at(size[1], size[2]), known[1]
    return taken, f"input size: {origin}; normalisation: {normalised}"
