"""A sentence through a classifier of ALBERT-base's sizes: reference, OpenCL devices and RTL.

    python bench/edgebert/albert_base.py [--devices pocl,intel-cpu,intel-fpga-emu] [--rtl]
        [--weights af|shift1|shift2] [--tokens 128] [--layers 12] [--out FILE]

Weights are random (quant/albert/network/random.py): 30,000 words, embeddings of 128 columns, 12
layers of 768 with 12 heads and 3,072 columns between the feed-forward products, an off-ramp a
layer. Every stage of every layer is compared. ``--layers N`` runs ``shiftforge unit layer
--layers N`` instead: the layers alone, with span masks. FILE (results/albert_base.json) keeps the
figures by weights; a run replaces its own."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import RESULTS, check_exit, command_line, load, machine, print_table
from bench.common.records import write_json
from shiftforge.errors import CheckFailed, InputError, ToolFailed
from shiftforge.generator.edgebert.sentence import choose_unit
from shiftforge.quant.albert.network.random import ALBERT_BASE, random_albert, random_ids
from shiftforge.sim.edgebert.opencl.sentence_run import run_sentences
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import Sentence, golden_sentence
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl, RtlSentence
from shiftforge.sim.edgebert.sentence_trace import compare_sentences
from shiftforge.sim.trace import Comparison

__all__ = ["keep", "layers_figures", "main"]

OUT = RESULTS / "albert_base.json"
WEIGHTS = ("af", "shift1", "shift2")
CLASSES = 3
LIMIT_S = 3600.0
KEPT = ("n", "weights", "terms", "shape", "layers", "seed", "opencl", "codes", "mismatches",
        "cycles", "ideal_cycles", "ratio", "utilisation", "cycles_per_second", "reads", "writes",
        "by_layer", "opencl_seconds", "wall")  # fmt: skip
"""Of the report of ``shiftforge cosim``."""


def keep(path: Path, name: str, figures: dict[str, Any]) -> None:
    """Replace one entry of the file; the others stay."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found[name] = figures
    write_json(path, found, sort_keys=True)


def layers_figures(
    report: dict[str, Any], command: str, loads: list[list[float]], seconds: float, cpu: float
) -> dict[str, Any]:
    """What is kept of a run of layers. seconds: wall-clock of the command; cpu: of the processor,
    children included."""
    figures = {name: report[name] for name in KEPT}
    return {"command": command, "machine": machine(), "load": loads, "seconds": seconds,
            "cpu_seconds": cpu, **figures}  # fmt: skip


def _cpu() -> float:
    """Seconds of the processor, of this process and its finished children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def run_layers(count: int, weights: str, device: str, out: Path) -> bool:
    """The layers alone; whether all values agree."""
    kind = ["--weights", "af"] if weights == "af" else ["--weights", "shift"]
    kind += [] if weights == "af" else ["--terms", weights[-1]]
    arguments = ["unit", "layer", "--layers", str(count), *kind, "--opencl", device]
    program = Path(sys.executable).parent / "shiftforge"
    before, started, cpu = load(), time.perf_counter(), _cpu()
    done = subprocess.run(
        [str(program), *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    seconds = time.perf_counter() - started
    check_exit(done.returncode, arguments)
    report = json.loads(done.stdout)
    command = f"shiftforge {' '.join(arguments)} --json"
    figures = layers_figures(report, command, [before, load()], seconds, _cpu() - cpu)
    keep(out, f"layers {count} {weights}", figures)
    print(json.dumps({k: v for k, v in figures.items() if k != "by_layer"}, indent=1))
    return report["mismatches"] == 0


class Run:
    """One sentence everywhere. seconds: wall-clock by part; the RTL runs beside the others."""

    def __init__(self, weights: Any, tokens: int, seed: int, lanes: int) -> None:
        self.seconds: dict[str, float] = {}
        started = time.perf_counter()
        self.network = random_albert(ALBERT_BASE, weights, CLASSES, seed)
        self.seconds["network"] = time.perf_counter() - started
        self.design = choose_unit(self.network, lanes)
        self.unit = golden_unit(self.design)
        self.ids = random_ids(ALBERT_BASE, 1, seed + 1)[0][:tokens]

    def golden(self) -> Sentence:
        """The reference."""
        started = time.perf_counter()
        found = golden_sentence(self.network, self.ids, self.unit)
        self.seconds["golden"] = time.perf_counter() - started
        return found

    def device(self, name: str) -> tuple[Sentence, float]:
        """An OpenCL device in a child process; and the seconds of its kernels alone."""
        started = time.perf_counter()
        done = run_sentences(
            self.design, name, self.network, self.unit, [self.ids], time_limit_s=LIMIT_S
        )
        self.seconds[name] = time.perf_counter() - started
        return done.sentences[0], done.seconds

    def rtl(self) -> RtlSentence:
        """One program on the RTL; its model is built first, or taken from the cache."""
        started = time.perf_counter()
        # Room for the longest sentence: one model for all lengths.
        model = ClassifierRtl(self.design, self.network)
        built = time.perf_counter()
        found = model.run(self.ids)
        self.seconds["rtl plan and build"] = built - started
        self.seconds["rtl simulate"] = found.seconds
        self.seconds["rtl read"] = time.perf_counter() - built - found.seconds
        return found


def _row(name: str, seconds: float, kernels: float | None, found: Comparison | None) -> list[str]:
    cells = [name, f"{seconds:.1f}", "" if kernels is None else f"{kernels:.1f}"]
    return cells + (["", ""] if found is None else [f"{found.values:,}", f"{found.mismatches:,}"])


def run_sentence(arguments: argparse.Namespace) -> bool:
    """A sentence; whether all values agree."""
    before, started, cpu = load(), time.perf_counter(), _cpu()
    run = Run(arguments.weights, arguments.tokens, arguments.seed, arguments.lanes)
    kernels: dict[str, float] = {}
    compared: dict[str, Comparison] = {}
    simulated: RtlSentence | None = None
    with ThreadPoolExecutor(1) as beside:
        task: Future[RtlSentence] | None = beside.submit(run.rtl) if arguments.rtl else None
        want = run.golden()
        for name in arguments.devices:
            found, kernels[name] = run.device(name)
            compared[name] = compare_sentences(found, want)
            print(f"{name}: {compared[name].mismatches} mismatches", file=sys.stderr, flush=True)
        if task is not None:
            simulated = task.result()
            compared["rtl"] = compare_sentences(simulated.sentence, want)
    figures: dict[str, Any] = {
        "command": command_line(),
        "machine": machine(),
        "load": [before, load()],
        "seconds": time.perf_counter() - started,
        "cpu_seconds": _cpu() - cpu,
        "shape": asdict(ALBERT_BASE),
        "weights": arguments.weights,
        "n": arguments.lanes,
        "tokens": len(run.ids),
        "seed": arguments.seed,
        "wall": run.seconds,
        "kernel_seconds": kernels,
        "values": {name: c.values for name, c in compared.items()},
        "mismatches": {name: c.mismatches for name, c in compared.items()},
        "first": {name: str(c.differences[0]) for name, c in compared.items() if c.differences},
    }
    if simulated is not None:
        figures |= {
            "cycles": simulated.cycles,
            "ideal_cycles": simulated.ideal_cycles,
            "ratio": simulated.cycles / simulated.ideal_cycles,
            "utilisation": simulated.ideal_cycles / simulated.cycles,
            "cycles_per_second": simulated.cycles / simulated.seconds,
            "commands": len(simulated.commands),
            "reads": simulated.reads,
            "writes": simulated.writes,
        }
    parts = "rtl" if arguments.rtl else ""
    size = f"{arguments.tokens} tokens"
    name = " ".join(["sentence", arguments.weights, size, *arguments.devices, parts]).strip()
    keep(arguments.out, name, figures)
    _print(figures, compared, kernels)
    return not any(found.mismatches for found in compared.values())


def _print(
    figures: dict[str, Any], compared: dict[str, Comparison], kernels: dict[str, float]
) -> None:
    print(f"# {figures['command']}")
    print(", ".join(f"{k} {v}" for k, v in figures["machine"].items()))
    print(f"load before and after: {figures['load']}")
    names = {"rtl simulate": "rtl"}
    rows = [
        _row(part, seconds, kernels.get(part), compared.get(names.get(part, part)))
        for part, seconds in figures["wall"].items()
    ]
    print_table(["Part", "seconds", "kernels alone", "values compared", "mismatches"], rows)
    if "cycles" in figures:
        print(
            f"RTL: {figures['cycles']:,} cycles, {figures['ideal_cycles']:,} ideal, "
            f"{figures['ratio']:.3f}; {figures['cycles_per_second']:,.0f} cycles a second"
        )
    for name, first in figures["first"].items():
        print(f"{name}: {first}")


def _devices(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main() -> int:
    """Exit status 1 where a value differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=_devices, default=[], metavar="NAME,NAME")
    parser.add_argument("--rtl", action="store_true", help="the RTL too, in simulation")
    parser.add_argument("--weights", choices=WEIGHTS, default="af")
    parser.add_argument("--tokens", type=int, default=ALBERT_BASE.length)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, metavar="N", help="N layers alone, on the RTL")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    arguments = parser.parse_args()
    if not 1 <= arguments.tokens <= ALBERT_BASE.length or (arguments.layers or 1) < 1:
        parser.error(f"1 to {ALBERT_BASE.length} tokens, 1 or more layers")
    try:
        if arguments.layers is None:
            good = run_sentence(arguments)
        else:
            device = arguments.devices[0] if arguments.devices else "none"
            good = run_layers(arguments.layers, arguments.weights, device, arguments.out)
    except (InputError, CheckFailed, ToolFailed) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, InputError) else 3 if isinstance(error, ToolFailed) else 1
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
