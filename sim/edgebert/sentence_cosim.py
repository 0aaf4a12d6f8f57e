"""Sentences on the project's own RTL: several seeds, coverage, waveforms of what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftforge.generator.design import Design
from shiftforge.generator.edgebert.rtl import render_unit_bench
from shiftforge.scratch import work_folder
from shiftforge.sim.edgebert import sentence_rtl
from shiftforge.sim.edgebert.rtl.encoder_run import BENCH, Stopped, image_arguments
from shiftforge.sim.edgebert.samples import TextSamples
from shiftforge.sim.edgebert.sentence_rtl import Malformed, RtlSentence
from shiftforge.sim.edgebert.sentence_trace import OUTPUTS, sentence_trace
from shiftforge.sim.edgebert.sentence_window import SentenceFault, stop_of, window_of
from shiftforge.sim.on_rtl import RtlRequest, Waveform
from shiftforge.sim.opencl.child import Progress
from shiftforge.sim.results import Run
from shiftforge.sim.rtl.coverage import Coverage, read_coverage
from shiftforge.sim.rtl.memory_file import to_hex
from shiftforge.sim.rtl.trace import TraceKind, trace_kind
from shiftforge.sim.runner import RTL
from shiftforge.sim.trace import Divergence, Stage

__all__ = ["keep_sentence", "on_rtl", "own_coverage", "write_waveform"]

SOURCES = "rtl"


def _unit(
    samples: TextSamples, *, trace: TraceKind | None = None, coverage: bool = False
) -> sentence_rtl.ClassifierRtl:
    """The simulation of the project's own RTL, for the longest of the texts."""
    own, more = samples.own, {"trace": trace, "coverage": coverage}
    asked = {name: value for name, value in more.items() if value}
    return sentence_rtl.ClassifierRtl(
        own.design,
        own.network,
        samples.limit,
        longest=max(len(ids) for ids in samples.texts.ids),
        replace=dict(own.rtl),
        **asked,  # type: ignore[arg-type]
    )


@dataclass
class _Ran:
    """What a run gathers. done: of each sentence, None where it has no result."""

    done: list[RtlSentence | None]
    stages: list[Stage]
    faults: list[SentenceFault]
    counted: Coverage


def on_rtl(
    samples: TextSamples, request: RtlRequest, every_stage: bool, progress: Progress | None
) -> tuple[Run, ...]:
    """A run for each seed, one program a sentence. Of a sentence whose program does not end the
    run has a fault, and what could be read."""
    unit, texts = _unit(samples, coverage=request.coverage), samples.texts
    total, told, runs = len(texts) * len(request.seeds), 0, []
    for seed in request.seeds:
        ran = _Ran([], [], [], Coverage())
        for index in range(len(texts)):
            _one(samples, unit, ran, index, seed, request.coverage)
            told += 1
            if progress is not None:
                progress(RTL, told, total)
        finished = [one for one in ran.done if one is not None]
        facts = {
            "seconds": sum(one.seconds for one in finished),
            "runs": tuple(ran.done),
            "seed": seed,
            "coverage": ran.counted,
        }
        stages = [s for s in ran.stages if every_stage or s.name in OUTPUTS]
        result = tuple(one.sentence for one in finished)
        runs.append(Run(request.name(seed), stages, result, facts, tuple(ran.faults)))
    return tuple(runs)


def _one(
    samples: TextSamples,
    unit: sentence_rtl.ClassifierRtl,
    ran: _Ran,
    index: int,
    seed: int,
    coverage: bool,
) -> None:
    """Run a sentence and gather what it left."""
    ids, prefix = samples.texts.ids[index], f"sentence {index + 1}, "
    heads = samples.own.network.heads
    done: RtlSentence | None = None
    try:
        with work_folder("counts") as folder:
            counts = folder / "counts.dat" if coverage else None
            done = unit.run(ids, seed=seed, coverage=counts)
            if counts is not None:
                text = counts.read_text(encoding="utf-8", errors="replace")
                ran.counted += read_coverage(text)
    except Stopped as error:
        commands = unit.plan(len(ids)).program.commands
        layer, label, window = stop_of(commands, error.log)
        ran.faults.append(_fault(index, layer, label, str(error), window))
    except Malformed as error:
        commands = unit.plan(len(ids)).program.commands
        window = window_of(commands, error.spans, error.layer, error.stage)
        ran.faults.append(_fault(index, error.layer, error.stage, str(error), window))
        ran.stages += sentence_trace(
            error.sentence, sample=index, prefix=prefix, rest=error.rest, heads=heads
        )
    ran.done.append(done)
    if done is not None:
        counted = heads - len(set(done.sentence.skipped))
        ran.stages += sentence_trace(done.sentence, ran=counted, sample=index, prefix=prefix)


def _fault(
    index: int, layer: int | None, stage: str, what: str, window: tuple[int, int]
) -> SentenceFault:
    where = "embeddings" if layer is None else f"layer {layer}"
    label = f"sentence {index + 1}, {where}, {stage}"
    return SentenceFault(
        stage=stage, at=(), got=0, want=1, differing=1, total=1, layer=layer, sample=index,
        label=label, what=what, window=window,
    )  # fmt: skip


def own_coverage(samples: TextSamples, runs: Sequence[Run]) -> Coverage:
    """What the runs counted together, of the project's own files."""
    total = sum((run.facts["coverage"] for run in runs), Coverage())
    return total.only(samples.own.rtl)


def write_waveform(samples: TextSamples, run: Run, found: Divergence, file: Path) -> Waveform:
    """Simulate the sentence of a difference again, with traces, and write the cycles from the start
    of its layer to the end of the command that computes the stage. file: .vcd or .fst."""
    sample = found.sample or 0
    unit, ids = _unit(samples, trace=trace_kind(file)), samples.texts.ids[sample]
    done: RtlSentence | None = run.facts["runs"][sample]
    if isinstance(found, SentenceFault) or done is None:
        faults = [own for own in run.faults if own.sample == sample]
        window = next(own.window for own in faults if isinstance(own, SentenceFault))
    else:
        head = found.groups[0] if found.groups and found.group_name == "head" else None
        spans = [(command.start, command.end) for command in done.commands]
        commands = unit.plan(len(ids)).program.commands
        window = window_of(commands, spans, found.layer, found.stage, head)
    unit.trace(ids, file, window, seed=run.facts["seed"])
    return Waveform(str(file), sample, run.facts["seed"], found.label, *window)


def keep_sentence(samples: TextSamples, run: Run, sample: int) -> Design:
    """Unit, bench, main program, and a sentence's memory image with the bench's arguments."""
    unit = _unit(samples)
    plan, image = unit.image(samples.texts.ids[sample])
    bench = render_unit_bench(samples.own.design, unit.memory_bits)
    files = {f"{SOURCES}/{name}": text.encode() for name, text in bench.items()}
    files |= {f"{SOURCES}/{name}": text.encode() for name, text in samples.own.rtl.items()}
    names = {"image": "data/image.hex", "result": "result.hex", "dump": "taps.txt"}
    arguments = image_arguments(plan.program, names, run.facts["seed"])
    files["data/image.hex"] = to_hex(image)
    files["data/arguments.txt"] = "\n".join([*arguments, ""]).encode()
    report = {"top": BENCH, "sentence": sample, "seed": run.facts["seed"]}
    return Design(files, report, report)
