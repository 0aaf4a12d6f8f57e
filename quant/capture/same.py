"""Whether a captured graph computes what the network itself does: frame by frame, as it runs.

A trace holds one path through a network's code. What that code makes of the number of frames, of
random numbers, of a clock, of a count of its calls or of being traced is frozen into it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils import _pytree

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.evaluate import run_output
from shiftforge.quant.capture.running import as_input, evaluation, quiet
from shiftforge.quant.capture.trace import BATCH, Trace
from shiftforge.quant.capture.types import FloatGraph

__all__ = ["check_same"]

CALLS = 2
"""The second one finds what a network remembers of the first."""
# Of the largest output; and steps of the network's least precise type, of that and of all maps.
_SHARE, _STEPS, _MAP_STEPS = 1e-3, 32, 8
REMEDY = (
    "make forward a function of the image alone: the same for every number of frames and at every "
    "call, without random numbers, counters, clocks and torch.compiler.is_compiling()"
)


def check_same(module: torch.nn.Module, traced: Trace, graph: FloatGraph) -> None:
    """Run the network on single frames of noise and hold its outputs against the graph's.

    A network that is written for the traced number of frames alone is run on so many; one that
    cannot run at all, say for the type of its weights, is not compared, nor are outputs that are
    not finite. The module's buffers are as before afterwards. Raises InputError where it computes
    something else.
    """
    taken, random = graph.preprocess, np.random.default_rng(0)
    mean, std = (np.reshape(v, (-1, 1, 1)) for v in (taken.mean, taken.std))
    for call in range(CALLS):
        pixels = random.integers(0, 256, (BATCH, *graph.shapes[graph.input])) / 255
        frames = torch.from_numpy(((pixels - mean) / std).astype(np.float32))
        ran = _output(module, graph, frames[:1], call) or _output(module, graph, frames, call)
        if ran is None:
            continue
        wanted, count = ran
        results, largest = run_output(graph, frames[:count])
        got = _as_returned(graph, results)
        if not (wanted.isfinite().all() and got.isfinite().all()):
            continue
        scale = float(wanted.abs().max())
        error = float((wanted.reshape(-1) - got.reshape(-1)).abs().max())
        step = _coarsest(traced)
        if error > max(_SHARE, _STEPS * step) * scale + _MAP_STEPS * step * largest:
            what = f"run by itself on {_counted(count)} it gives other outputs than what "
            what += f"torch.export traced of it: they differ by {error:.3g}, of {scale:.3g}"
            raise InputError(Problem(what, REMEDY, graph.name))


def _as_returned(graph: FloatGraph, results: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """What the network makes of the graph's outputs, host functions applied, (N, values)."""
    flat = []
    for name, value in zip(graph.outputs, results, strict=True):
        kind = graph.host.get(name, "")
        if kind == "sigmoid":
            value = value.sigmoid()
        elif kind == "softmax":
            value = value.softmax(1)
        elif kind == "log_softmax":
            value = value.log_softmax(1)
        flat.append(value.float().flatten(1))
    return torch.cat(flat, 1)


def _counted(frames: int) -> str:
    return "one frame" if frames == 1 else f"{frames} frames"


def _output(
    module: torch.nn.Module, graph: FloatGraph, frames: torch.Tensor, calls: int
) -> tuple[torch.Tensor, int] | None:
    """(what the network returns after so many calls, as float32; the number of frames).

    None where it raises, or does not return tensors of as many values as the graph has.
    """
    try:
        with _restored(module), quiet(), evaluation(module), torch.no_grad():
            for _ in range(calls + 1):
                # A copy: a network may write into its input.
                made = module(as_input(module, frames.clone()))
            tensors = [t for t in _pytree.tree_leaves(made) if isinstance(t, torch.Tensor)]
            sizes = [len(frames) * math.prod(graph.shapes[name]) for name in graph.outputs]
            if [held.numel() for held in tensors] != sizes:
                return None
            flat = [held.detach().float().cpu().reshape(len(frames), -1) for held in tensors]
            return torch.cat(flat, 1), len(frames)
    except KeyboardInterrupt:
        raise
    except BaseException:  # whatever a forward raises, SystemExit too
        return None


@contextmanager
def _restored(module: torch.nn.Module) -> Iterator[None]:
    """Every buffer as before afterwards, in whatever way a forward changes them."""
    held = [(m, dict(m._buffers)) for m in module.modules()]
    buffers = {id(b): b for _, own in held for b in own.values() if b is not None}
    before = {key: (_version(b), b.clone()) for key, b in buffers.items()}
    try:
        yield
    finally:
        for owner, own in held:
            owner._buffers.update(own)
        for key, (version, values) in before.items():
            if _version(buffers[key]) != version:
                with torch.no_grad():
                    buffers[key].copy_(values)


def _version(buffer: torch.Tensor) -> int:
    """How often it was written to; always 0 for one of torch.inference_mode, which counts not."""
    return 0 if buffer.is_inference() else buffer._version


def _coarsest(traced: Trace) -> float:
    """Relative step of the least precise floating type that any traced value has."""
    results = [n.meta.get("val") for n in (*traced.nodes, *traced.constants)]
    steps = [
        torch.finfo(result.dtype).eps
        for result in results
        if isinstance(result, torch.Tensor) and result.is_floating_point()
    ]
    return max([torch.finfo(torch.float32).eps, *steps])
