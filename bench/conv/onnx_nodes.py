"""The node tests of the package onnx's own backend suite, read as models and computed.

    python bench/conv/onnx_nodes.py [--json] [--page docs/ONNX.md] [--save] [NAME ...]

Every test of which all operators have a counterpart is taken: stored inputs but the first become
initialisers, the model is captured, and its float graph gets the stored first input. It passes
where every output is the stored one to float32 accuracy, and is skipped, with the reason, where
the capture refuses the model. --page writes the page that lists what is skipped, --save
bench/results/onnx_nodes.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

from shiftforge.errors import InputError
from shiftforge.quant.capture.evaluate import run_output
from shiftforge.quant.capture.loaders.onnx import load_proto
from shiftforge.quant.capture.onnx.module import CONVERTERS

RESULT = Path(__file__).parents[1] / "results" / "onnx_nodes.json"
TOLERANCE = 1e-5
FOLDED = {"Constant", "ConstantOfShape", "Shape"}
"""Operators that the walk computes beforehand."""
HEAD = """# ONNX

<!-- Written by `python bench/conv/onnx_nodes.py --page docs/ONNX.md`; do not edit. -->

`shiftforge check`, `quantize` and `train` read `.onnx` files of opset 11 to the newest:

    shiftforge check network.onnx --board de10_nano
    shiftforge quantize network.onnx --calib pictures/ -o network.safetensors

The model passes onnx's own checker; shapes come from onnx's shape inference and what depends on
constants alone from its reference evaluator. The first axis of the one input is the frames', sizes
that the model leaves open are given by `--input-shape C,H,W`. External data is read from regular
files in the model's folder. Functions of a model's own and other domains are refused.
What is read is then captured as a PyTorch module is: docs/OPERATORS.md says what becomes of it, and
a model that computes something else than what was captured of it is refused.

## Quantised models

`QuantizeLinear` and `DequantizeLinear` around weights and maps are taken out, and `quantize` keeps
what they say where the integer graph can hold it:

- the scale of a map, where it is a power of two, its codes stand for -128 to 127 or 0 to 255 steps
  (of fewer bits, where a `Clip` before it says so), and all maps that share a grid have the same;
- a layer's integer weights and bias, where their scales are powers of two and the integers are
  levels of the chosen format: `--scheme int` holds every int8, shift weights those that are sums of
  two powers of two.

Everything else has the value that it stands for and is calibrated and rounded anew. `quantize` says
which, and why; with `--json`, `meta.stored_scales` lists the maps, the layers and what was
requantised. What is kept is not equalised, and kept weights get no bias correction.

An input of int8 or uint8 is read where `DequantizeLinear` alone reads it: pictures then come to its
codes. The QDQ export of an integer network (`quant/export/qdq.py`), read back and quantised with
the same scheme, is the same integer network, whatever frames it is calibrated on.

## Operators

Operators that are read: {operators}.
"""
TESTS = """
## The backend suite of the package onnx

A model's first axis is its frames'. An input of one axis is a list of frames that are one number
each, without channels, rows or columns: there is no map that an accelerator could hold, and a test
whose other input has as many numbers would give each frame a constant of its own. Such inputs are
refused, as those of five axes are; the same operators are tested on inputs of two to four axes.

Of {total:,} node tests, {taken} use these operators alone. {passed} pass, {failed} fail, and
{skipped} are skipped for what they ask of these operators:

| Tests | Reason | Such as |
|---|---|---|
{rows}

Tests of other operators, by operator: {others}.
"""


@dataclass
class Outcome:
    """passed: names. failed, skipped: what happened, or the reason, by name.

    others: how many tests use an operator without counterpart, by the first such operator.
    """

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


def suite() -> list[Any]:
    """The suite's node tests: name, model, data_sets."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(load_model_tests(kind="node"))


def bound(case: Any) -> tuple[ModelProto, list[Any], list[Any]]:
    """The model with its inputs but the first as initialisers, and the first data set."""
    inputs, outputs = case.data_sets[0]
    model = ModelProto()
    model.CopyFrom(case.model)
    for info, value in list(zip(model.graph.input, inputs, strict=False))[1:]:
        stored = TensorProto()
        if isinstance(value, TensorProto):
            stored.CopyFrom(value)
        else:
            stored = numpy_helper.from_array(np.asarray(value))
        stored.name = info.name
        model.graph.initializer.append(stored)
    return model, inputs, outputs


def agree(got: NDArray[Any], stored: NDArray[Any]) -> bool:
    """Whether values are the stored ones to float32 accuracy, or to the decimals stored."""
    got, stored = got.reshape(-1), stored.astype(np.float64).reshape(-1)
    if got.shape != stored.shape:
        return False
    if np.allclose(got, stored, rtol=TOLERANCE, atol=TOLERANCE):
        return True
    # Some tests have inputs and outputs typed in, each rounded to four decimals.
    typed = np.allclose(np.round(stored, 4), stored, rtol=0, atol=1e-7)
    return bool(typed and np.allclose(got, stored, rtol=0, atol=1e-4))


def outcome(cases: Iterable[Any]) -> Outcome:
    """Every case's."""
    found = Outcome()
    for case in cases:
        kinds = [node.op_type for node in case.model.graph.node]
        unknown = [kind for kind in kinds if kind not in {*CONVERTERS, *FOLDED}]
        if unknown:
            found.others[unknown[0]] = found.others.get(unknown[0], 0) + 1
            continue
        model, inputs, outputs = bound(case)
        try:
            if not inputs:
                found.skipped[case.name] = "the network takes 0 tensors"
                continue
            graph = load_proto(model, case.name)
            frames = torch.from_numpy(np.array(inputs[0], np.float32))
            frames = frames.reshape(frames.shape[0], *graph.shapes[graph.input])
            results, _ = run_output(graph, frames)
            good = len(results) == len(outputs) and all(
                agree(mine.numpy(), np.asarray(theirs))
                for mine, theirs in zip(results, outputs, strict=True)
            )
        except InputError as error:
            found.skipped[case.name] = _reason(error)
        except Exception as error:  # what a reader may not do
            found.failed[case.name] = f"{type(error).__name__}: {error}"[:200]
        else:
            if good:
                found.passed.append(case.name)
            else:
                found.failed[case.name] = "other values than the stored ones"
    return found


def _reason(error: InputError) -> str:
    return error.problems[0].what


def page(found: Outcome) -> str:
    """docs/ONNX.md."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, reason in found.skipped.items():
        groups[reason].append(name)
    rows = [
        f"| {len(names)} | {reason.replace('|', '/')} | {', '.join(f'`{n}`' for n in names[:3])} |"
        for reason, names in sorted(groups.items(), key=lambda own: (-len(own[1]), own[0]))
    ]
    others = ", ".join(
        f"{kind} {count}" for kind, count in sorted(found.others.items(), key=lambda own: own[0])
    )
    operators = ", ".join(f"`{kind}`" for kind in sorted({*CONVERTERS, *FOLDED}))
    taken = len(found.passed) + len(found.failed) + len(found.skipped)
    return HEAD.format(operators=operators) + TESTS.format(
        total=taken + sum(found.others.values()),
        taken=taken,
        passed=len(found.passed),
        failed=len(found.failed),
        skipped=len(found.skipped),
        rows="\n".join(rows),
        others=others,
    )


def main(arguments: list[str] | None = None) -> int:
    """1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="these alone")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args(arguments)
    cases = [case for case in suite() if not given.names or case.name in given.names]
    found = outcome(cases)
    facts = {
        "command": "python bench/conv/onnx_nodes.py --save",
        "passed": len(found.passed),
        "failed": len(found.failed),
        "skipped": len(found.skipped),
        "other_operators": sum(found.others.values()),
        "names": sorted(found.passed),
        "failures": found.failed,
        "reasons": dict(sorted(found.skipped.items())),
    }
    if given.save:
        RESULT.write_text(json.dumps(facts, indent=1) + "\n")
    if given.page:
        given.page.write_text(page(found))
    if given.json:
        print(json.dumps(facts, indent=1))
    else:
        print(f"{facts['passed']} passed, {facts['failed']} failed, {facts['skipped']} skipped")
        for name, what in found.failed.items():
            print(f"  {name}: {what}")
    return int(bool(found.failed))


if __name__ == "__main__":
    sys.exit(main())
