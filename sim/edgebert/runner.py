"""Texts on the EdgeBERT unit: float network, reference, OpenCL devices and RTL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import Problem, Problems
from shiftforge.generator.design import Design
from shiftforge.generator.project import Project
from shiftforge.quant.albert.network.file import Package
from shiftforge.quant.text.inputs import Texts, load_texts
from shiftforge.quant.text.labelled import load_labelled_texts
from shiftforge.quant.text.tokens import read_tokens, tokens_json
from shiftforge.sim.edgebert.pairs import FLOAT, compared, float_of, measured_pair
from shiftforge.sim.edgebert.project import load_unit_project
from shiftforge.sim.edgebert.report import (
    cosim_report,
    cosim_tables,
    exit_logits,
    right_labels,
    sentence_table,
    stage_table,
    text_rows,
)
from shiftforge.sim.edgebert.samples import TextOptions, TextSamples
from shiftforge.sim.edgebert.sentence_golden import Sentence, golden_sentence, threshold_of
from shiftforge.sim.edgebert.sentence_trace import OUTPUTS, sentence_trace
from shiftforge.sim.evaluation import Labelled
from shiftforge.sim.on_rtl import RtlRequest, Waveform
from shiftforge.sim.results import Emulation, Pair, Run, Table, exact_pair
from shiftforge.sim.rtl.coverage import Coverage
from shiftforge.sim.runner import DEVICE_NAMES, GOLDEN, RTL, Base, Progress
from shiftforge.sim.trace import Divergence, Stage, Trace

__all__ = ["RUNNER", "TextRunner"]


class TextRunner(Base):
    """See ``Runner``. A run's result is a tuple of ``Sentence``; the float network's is itself."""

    checkpoints = (FLOAT, GOLDEN, *DEVICE_NAMES, RTL)
    options = TextOptions
    first = (FLOAT,)

    def samples(
        self, project: Project, spec: Any, limit: int | None, options: TextOptions
    ) -> TextSamples:
        """See ``Runner``. spec: see ``load_texts``, or texts."""
        return _samples(project, options, lambda package: load_texts(spec, package, limit))

    def stored(self, samples: TextSamples) -> tuple[str, bytes]:
        """See ``StoresSamples``. Tokens, which no other tokeniser makes others."""
        return "tokens.json", tokens_json(samples.texts)

    def restored(
        self, project: Project, file: Path, limit: int | None, options: TextOptions
    ) -> TextSamples:
        """See ``StoresSamples``."""
        return _samples(project, options, lambda package: read_tokens(file, package, limit))

    def notes(self, samples: TextSamples) -> Sequence[str]:
        """See ``Runner``."""
        return samples.texts.notes

    def check(self, samples: TextSamples, names: Sequence[str]) -> list[Problem]:
        """See ``Runner``. The float network is in the classifier's folder alone; the RTL needs
        Verilator."""
        problems = Problems()
        classifier = samples.options.classifier
        if FLOAT in names and classifier is None:
            remedy = "give --classifier, the folder that was quantised"
            problems.append(Problem("the project holds no float weights", remedy, FLOAT))
        if FLOAT in names and classifier is not None:
            from shiftforge.quant.albert.network.folder import load_classifier

            problems.check(load_classifier, classifier)
        if FLOAT not in names and classifier is not None:
            remedy = "leave it out, or --from float --to golden"
            problems.append(Problem("--classifier without float", remedy))
        if RTL in names:
            from shiftforge.sim.rtl import verilator

            problems.check(verilator.verilator_root)
        return problems

    def run(
        self,
        project: Project,
        samples: TextSamples,
        at: str,
        *,
        every_stage: bool = True,
        time_limit_s: float = 600.0,
        progress: Progress | None = None,
    ) -> Run:
        """See ``Runner``. Every sentence up to its exit."""
        own, texts, limit = samples.own, samples.texts, samples.limit
        if at == FLOAT:
            return Run(at, (), float_of(samples))
        if at == GOLDEN:
            found = []
            for ids in texts.ids:
                found.append(golden_sentence(own.network, ids, own.unit, limit))
                _tell(progress, "reference", len(found), len(texts))
            return Run(at, _trace(found, every_stage), tuple(found))
        if at == RTL:
            from shiftforge.sim.edgebert.sentence_cosim import on_rtl

            return on_rtl(samples, RtlRequest(), every_stage, progress)[0]
        from shiftforge.sim.edgebert.opencl import sentence_run

        done = sentence_run.run_sentences(
            own.design,
            at,
            own.network,
            own.unit,
            texts.ids,
            limit,
            text=own.text,
            time_limit_s=time_limit_s,
        )
        _tell(progress, at, len(texts), len(texts))
        facts = {"seconds": done.seconds}
        return Run(at, _trace(done.sentences, every_stage), tuple(done.sentences), facts)

    def on_rtl(
        self, project: Project, samples: TextSamples, request: RtlRequest,
        progress: Progress | None,
    ) -> tuple[Run, ...]:  # fmt: skip
        """See ``SimulatesRtl``."""
        from shiftforge.sim.edgebert.sentence_cosim import on_rtl

        return on_rtl(samples, request, True, progress)

    def coverage(self, project: Project, samples: TextSamples, runs: tuple[Run, ...]) -> Coverage:
        """See ``SimulatesRtl``."""
        from shiftforge.sim.edgebert.sentence_cosim import own_coverage

        return own_coverage(samples, runs)

    def waveform(
        self, project: Project, samples: TextSamples, run: Run, found: Divergence, file: Path
    ) -> Waveform:
        """See ``SimulatesRtl``."""
        from shiftforge.sim.edgebert.sentence_cosim import write_waveform

        return write_waveform(samples, run, found, file)

    def kept(self, project: Project, samples: TextSamples, run: Run, sample: int) -> Design:
        """See ``SimulatesRtl``."""
        from shiftforge.sim.edgebert.sentence_cosim import keep_sentence

        return keep_sentence(samples, run, sample)

    def labelled(
        self, project: Project, spec: Any, limit: int | None, options: TextOptions, *,
        calibrated: bool,
    ) -> Labelled:  # fmt: skip
        """See ``Evaluates``. spec: see ``load_labelled_texts``. The trained folder is given where
        the float network is wanted; texts do not calibrate."""
        problems = Problems(options.problems())
        own = problems.check(load_unit_project, project)
        texts = (
            None if own is None
            else problems.check(load_labelled_texts, str(spec), own.package, limit)
        )  # fmt: skip
        problems.stop()
        assert own is not None and texts is not None and texts.wanted is not None
        at = None if options.threshold is None else threshold_of(options.threshold)
        classes = own.network.classes
        labels = np.array([classes.index(name) for name in texts.wanted], dtype=np.int64)
        samples = TextSamples(own, texts, options, at)
        return Labelled(samples, labels, classes, texts.names, notes=texts.notes)

    def ends(self, samples: TextSamples, run: Run) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """See ``Evaluates``. Logits at the exit."""
        if run.at == FLOAT:
            from shiftforge.sim.edgebert.compare import float_end

            threshold = samples.options.threshold
            found = [float_end(run.result, ids, threshold) for ids in samples.texts.ids]
        else:
            network = samples.own.network
            found = [(exit_logits(network, own), own.exit_layer) for own in run.result]
        logits, layers = zip(*found, strict=True)
        return np.stack(logits), np.array(layers)

    def pair(self, samples: TextSamples, a: Run, b: Run) -> Pair:
        """See ``Runner``. Integers stage by stage; the float network is only measured."""
        if FLOAT in (a.at, b.at):
            return measured_pair(samples, a, b)
        found = compared(a, b)
        pair = exact_pair(a.at, b.at, len(samples), found)
        if pair.divergence is None or pair.divergence.sample is None:
            return pair
        index = pair.divergence.sample
        own = [d for d in found.differences if d.sample == index]
        table = stage_table(f"{a.at} and {b.at}, sentence {index + 1}", own)
        return replace(pair, tables=(table,))

    def named(self, samples: TextSamples, found: Divergence) -> Divergence:
        """See ``Runner``."""
        if found.sample is None:
            return found
        name = f"sentence {found.sample + 1}"
        text = samples.texts.names[found.sample]
        return replace(found, label=found.label.replace(name, f"{name} ({text})", 1))

    def facts(
        self, samples: TextSamples, got: Sequence[Run], want: Sequence[Run]
    ) -> dict[str, Any]:
        """See ``Runner``."""
        rows = text_rows(samples.own.network, samples.texts, got[0].result)
        return {
            "sentences": rows,
            "threshold": samples.options.threshold,
            "accuracy": right_labels(rows),
            "skipped_heads": list(samples.own.network.skipped),
            "macs": sum(row["macs"] for row in rows),
            "average_exit_layer": sum(row["exit_layer"] for row in rows) / len(rows),
            "seconds_per_sentence": got[0].facts.get("seconds", 0.0) / len(rows),
        }

    def told(self, samples: TextSamples, run: Run) -> dict[str, Any]:
        """See ``Runner``. exits: texts by the layer that they leave at."""
        rows = text_rows(samples.own.network, samples.texts, run.result)
        layers = range(1, samples.own.network.layers + 1)
        counts = Counter(row["exit_layer"] for row in rows)
        return {
            "top1": right_labels(rows),
            "threshold": samples.options.threshold,
            "average_exit_layer": sum(row["exit_layer"] for row in rows) / len(rows),
            "exits": [{"layer": layer, "texts": counts[layer]} for layer in layers],
            "sentences": [{**row, "entropy": row["entropies"][-1]} for row in rows],
        }

    def cosim(
        self, samples: TextSamples, rtl: Run, pairs: Mapping[str, Pair]
    ) -> tuple[dict[str, Any], tuple[Table, ...]]:
        """See ``Runner``."""
        report = cosim_report(samples, rtl.facts["runs"], pairs)
        return report, cosim_tables(samples, report)

    def energy(self, samples: TextSamples, run: Run) -> dict[str, Any]:
        """See ``SimulatesRtl``."""
        from shiftforge.sim.edgebert.run_energy import run_energy

        return run_energy(samples, run.facts["runs"])

    def outputs(self, got: Sequence[Run]) -> tuple[Sentence, ...]:
        """The sentences."""
        return tuple(sentence for run in got for sentence in run.result)

    def rows(self, samples: TextSamples, emulation: Emulation) -> tuple[Table, ...]:
        """See ``Runner``."""
        facts = emulation.facts
        told: list[tuple[object, ...]] = [
            ("device", emulation.device),
            ("compared", f"{emulation.checked}: {emulation.elements:,} integers"),
            ("mismatches", f"{emulation.mismatches:,}"),
            ("average exit layer", f"{facts['average_exit_layer']:.2f}"),
            ("heads not computed", ", ".join(map(str, facts["skipped_heads"])) or "none"),
            ("multiply-accumulates", f"{facts['macs']:,}"),
            (
                "seconds a sentence",
                f"{facts['seconds_per_sentence']:.4f} (emulated, not the FPGA's)",
            ),
        ]
        if facts["accuracy"] is not None:
            told.insert(1, ("labels right", f"{facts['accuracy']:.2%}"))
        table = sentence_table(samples.own.network.layers, facts["sentences"])
        return (table, Table("", ("", ""), tuple(told)))


def _samples(
    project: Project, options: TextOptions, read: Callable[[Package], Texts]
) -> TextSamples:
    """The project with the texts that are read for its network. Raises InputError."""
    problems = Problems(options.problems())
    own = problems.check(load_unit_project, project)
    texts = None if own is None else problems.check(read, own.package)
    problems.stop()
    assert own is not None and texts is not None
    threshold = options.threshold
    exit_at = None if threshold is None else threshold_of(threshold)
    return TextSamples(own, texts, options, exit_at)


def _tell(progress: Progress | None, stage: str, done: int, total: int) -> None:
    if progress is not None:
        progress(stage, done, total)


def _trace(sentences: Sequence[Sentence], every_stage: bool) -> Trace:
    """Every sentence's trace, one after the other."""
    found: list[Stage] = []
    for index, sentence in enumerate(sentences):
        heads = len(sentence.layers[0].stages["scores"])
        ran = heads - len(set(sentence.skipped))
        found += sentence_trace(sentence, ran=ran, sample=index, prefix=f"sentence {index + 1}, ")
    return found if every_stage else [stage for stage in found if stage.name in OUTPUTS]


RUNNER = TextRunner()
