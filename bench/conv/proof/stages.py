"""The stages of a network's proof, each for a process of its own.

    python bench/conv/proof/stages.py STAGE NETWORK FOLDER [ARGUMENT]

A stage prints one JSON line, its last. Files pass through FOLDER: model.safetensors, and a
project a board. Pictures are blurred noise (``settle.frames``), others than calibration's.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[3]))

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError

__all__ = ["MODEL", "STAGES", "main", "project_folder"]

MODEL = "model.safetensors"
_CALIBRATION, _CALIBRATION_SEED, _SEED = 4, 11, 12
_LIMIT_S = 3000.0


def project_folder(folder: Path, board: str) -> Path:
    """Of the design for a board."""
    return folder / f"project-{board}"


def _pictures(shape: tuple[int, int, int], count: int, seed: int) -> NDArray[np.uint8]:
    """Noise, uint8 (N, H, W, C)."""
    from bench.conv.proof_networks.settle import frames

    noise = (frames(shape, count, seed) + 1) / 2 * 255
    return noise.round().clamp(0, 255).numpy().astype(np.uint8).transpose(0, 2, 3, 1)


def _captured(name: str) -> tuple[Any, Any, tuple[int, int, int]]:
    """Network, its float graph and its input's shape (C, H, W)."""
    from bench.conv.proof_networks.catalogue import NETWORKS
    from shiftforge.quant.capture.export import capture
    from shiftforge.quant.graph.types import Preprocess

    proof = NETWORKS[name]
    network = proof.make(proof.side)
    shape = (3, proof.side, proof.side)
    return network, capture(network, shape, Preprocess(*shape, (0.5,) * 3, (0.5,) * 3), name), shape


def float_network(name: str, folder: Path, _: str) -> dict[str, Any]:
    """Sizes, and what capture, float32 and ONNX Runtime lose.

    Errors are the largest difference in an output as a share of its largest value: of the captured
    graph in float64 and of torch in float32 against torch in float64, of ONNX Runtime in float32
    against the captured graph in float64.
    """
    import torch

    from bench.conv.proof_networks.catalogue import count
    from bench.conv.proof_networks.settle import frames
    from shiftforge.quant.capture.evaluate import run_float
    from shiftforge.quant.export.runtime import run_float_onnx

    network, graph, shape = _captured(name)
    sizes = count(network, shape)
    x = frames(shape, 1, _SEED)
    exported = run_float_onnx(graph, x.numpy())
    captured = run_float(graph, x.double())
    with torch.no_grad():
        single = network(x)
        exact = network.double()(x.double())
    several = isinstance(exact, tuple)
    errors = {"capture": 0.0, "torch_float32": 0.0, "onnx_float": 0.0}
    for k, output in enumerate(graph.outputs):
        own, wanted = (single[k], exact[k]) if several else (single, exact)
        there = torch.from_numpy(exported[output])
        found = {
            "capture": _distance(_host(captured[output], graph.host.get(output)), wanted),
            "torch_float32": _distance(own, wanted),
            "onnx_float": _distance(there, captured[output]),
        }
        errors = {kind: max(errors[kind], found[kind]) for kind in errors}
    return {"parameters": sizes.parameters, "macs": sizes.macs, "nodes": len(graph.nodes), **errors}


def _host(value: Any, function: str | None) -> Any:
    """What the host makes of an output (N, C, H, W)."""
    if function is None:
        return value
    return value.sigmoid() if function == "sigmoid" else getattr(value, function)(1)


def _distance(found: Any, wanted: Any) -> float:
    difference = (found.double().reshape(-1) - wanted.reshape(-1)).abs().max()
    return float(difference / wanted.abs().max())


def quantised(name: str, folder: Path, _: str) -> dict[str, Any]:
    """The network with weights of one power of two, in every layer; SQNR of its outputs in dB."""
    from shiftforge.quant.evaluate import evaluate
    from shiftforge.quant.graph.file import save_model
    from shiftforge.quant.quantize import Quantisation, quantize

    _, graph, shape = _captured(name)
    options = Quantisation(scheme="shift", terms=1, first_last="same")
    images = _pictures(shape, _CALIBRATION, _CALIBRATION_SEED)
    model = quantize(graph, images, options, progress=_tell)
    save_model(model, folder / MODEL)
    sqnr = evaluate(model, _pictures(shape, 1, _SEED)).sqnr_db
    return {"sqnr_db": round(sqnr, 2), "tensors": len(model.tensors)}


def exported(name: str, folder: Path, _: str) -> dict[str, Any]:
    """Every tensor of a frame in ONNX Runtime, on the QDQ export, against the reference."""
    from shiftforge.quant.data.inputs import to_codes
    from shiftforge.quant.export.runtime import run_onnx
    from shiftforge.quant.graph.file import load_model
    from shiftforge.sim.golden.conv.network import run_golden

    model = load_model(folder / MODEL)
    pre = model.preprocess
    images = _pictures((pre.channels, pre.height, pre.width), 1, _SEED)
    codes = to_codes(images, pre, model.tensors[model.input].grid)
    wanted = run_golden(model, codes)
    found = run_onnx(model, codes)
    differ = {k: int((v.astype(np.int64) != found[k]).sum()) for k, v in wanted.items()}
    values = sum(v.size for v in wanted.values())
    wrong = [k for k, n in differ.items() if n]
    return {"tensors": len(wanted), "values": values, "mismatches": sum(differ.values()),
            "first": wrong[0] if wrong else ""}  # fmt: skip


def planned(name: str, folder: Path, board: str) -> dict[str, Any]:
    """The design for a board, or why there is none."""
    from shiftforge import generate

    try:
        design = generate(folder / MODEL, board, output=project_folder(folder, board))
    except InputError as error:
        return {"refused": str(error)}
    return {"refused": "", **dict(design.report)}


def run(name: str, folder: Path, argument: str) -> dict[str, Any]:
    """Every stored map of a frame on a device, against the reference. argument: board:device."""
    from shiftforge import emulate
    from shiftforge.quant.graph.file import load_model

    board, device = argument.split(":")
    pre = load_model(folder / MODEL).preprocess
    images = _pictures((pre.channels, pre.height, pre.width), 1, _SEED)
    found = emulate(
        project_folder(folder, board), device, input=images, check=True,
        time_limit_s=_LIMIT_S, progress=_tell,
    )  # fmt: skip
    first = "" if found.divergence is None else f"{found.divergence.stage} {found.divergence.at}"
    return {"checked": found.checked, "values": found.elements, "mismatches": found.mismatches,
            "first": first}  # fmt: skip


def clocked(name: str, folder: Path, board: str) -> dict[str, Any]:
    """Cycles of a frame among three, counted once at the plan's latencies, and what was lost."""
    from shiftforge.sim.conv.clocked.confirm import count_cycles
    from shiftforge.sim.conv.clocked.losses import find_losses
    from shiftforge.sim.conv.clocked.planned import read_planned

    project = project_folder(folder, board)
    found = count_cycles(project, "pocl", time_limit_s=_LIMIT_S, progress=_tell, most=3)
    plan = read_planned(project)
    flight, lanes = plan.totals.frames, plan.totals.lanes
    macs = [flight * own for own in plan.macs]
    modes: dict[str, list[int]] = {}
    for step, cycles in zip(plan.steps, found.layers, strict=True):
        own = modes.setdefault(step.mode, [0, 0])
        own[0] += cycles
        own[1] += flight * step.cycles.macs
    return {
        "cycles": found.cycles,
        "steady": found.steady,
        "frames_in_flight": flight,
        "lanes": lanes,
        "clock_mhz": plan.totals.clock_mhz,
        "fps": flight * plan.totals.clock_mhz * 1e6 / found.cycles,
        "utilisation": sum(macs) / (found.cycles * lanes),
        "modes": {
            mode: {"cycles": cycles, "utilisation": done / (cycles * lanes)}
            for mode, (cycles, done) in modes.items()
        },
        "losses": [
            {"name": x.name, "share": x.cycles / found.cycles, "layer": plan.steps[x.layer].name}
            for x in find_losses(found, macs, lanes)
        ],
        "layers": [
            [step.name, step.mode, cycles, step.cycles.macs / (cycles * lanes) * flight]
            for step, cycles in zip(plan.steps, found.layers, strict=True)
        ],
    }


def _tell(stage: str, done: int, total: int) -> None:
    print(f"\r{stage}: {done} of {total}", end="", file=sys.stderr, flush=True)


STAGES: Mapping[str, Callable[[str, Path, str], dict[str, Any]]] = {
    "float": float_network,
    "quantised": quantised,
    "exported": exported,
    "planned": planned,
    "run": run,
    "clocked": clocked,
}


def main() -> None:
    """Run the stage that the arguments name."""
    stage, name, folder, *rest = sys.argv[1:]
    started = time.process_time()
    found = STAGES[stage](name, Path(folder), *(rest or [""]))
    usage = [resource.getrusage(x) for x in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak = max(own.ru_maxrss for own in usage) * 1024 / 1e6
    seconds = time.process_time() - started + usage[1].ru_utime
    print(json.dumps({**found, "peak_mb": round(peak), "cpu_seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main()
