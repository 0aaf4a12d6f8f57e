"""Images on the convolution accelerator: float, fake-quantised, reference and OpenCL devices."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge import __version__
from shiftforge.errors import CheckFailed, InputError, Problem, Problems
from shiftforge.files import output_problems
from shiftforge.generator.conv.folder import INTERFACE
from shiftforge.generator.conv.manifest import DATA
from shiftforge.generator.conv.target import MODEL_FILE
from shiftforge.generator.project import Project, check_interface
from shiftforge.quant.data.given import given_frames, is_given
from shiftforge.quant.data.inputs import Frames, load_frames
from shiftforge.quant.graph.file import load_model
from shiftforge.quant.graph.floats import float_problems
from shiftforge.sim.conv.checkpoints import (
    FAKE,
    FLOAT,
    Tensors,
    checkpoint_tensors,
    comparison_table,
)
from shiftforge.sim.conv.clocked.documents import counted_documents
from shiftforge.sim.conv.clocked.emulation import (
    ClockedEmulation,
    ClockedJob,
    clocked_emulation,
)
from shiftforge.sim.conv.clocked.planned import PLAN_FILE
from shiftforge.sim.conv.clocked.steady import FIRST_FRAMES
from shiftforge.sim.conv.frames import FrameOptions, FrameSamples, top1
from shiftforge.sim.conv.labelled import labelled_frames
from shiftforge.sim.conv.layers import (
    compare_checkpoints,
    tensor_order,
    tensor_trace,
)
from shiftforge.sim.conv.predictions import heads_table, read_heads
from shiftforge.sim.evaluation import Labelled
from shiftforge.sim.opencl.devices import clocked_problems
from shiftforge.sim.reporting import RunLimits
from shiftforge.sim.results import Emulation, Pair, Run, Table
from shiftforge.sim.runner import DEVICE_NAMES, GOLDEN, Base, Progress
from shiftforge.sim.trace import compare as compare_traces
from shiftforge.sim.trace import divergence_text

__all__ = [
    "RUNNER",
    "FrameOptions",
    "FrameSamples",
    "ImageRunner",
    "top1",
]

# What a run reads: the manifest has a digest of each.
_NEEDED = ("device/accelerator.cl", *(f"data/{n}.bin" for n in DATA), MODEL_FILE)
# Traces of one batch of a checked run are kept in memory twice: the device's and the reference's.
_TRACE_BYTES = 512 << 20
_SHOWN = 10


class ImageRunner(Base):
    """See ``Runner``. A run's result is its output codes (N, K)."""

    checkpoints = (FLOAT, FAKE, GOLDEN, *DEVICE_NAMES)
    flow = (FLOAT, FAKE, GOLDEN)
    first = (FLOAT,)
    options = FrameOptions
    whole = "every layer"

    def samples(
        self, project: Project, spec: Any, limit: int | None, options: FrameOptions
    ) -> FrameSamples:
        """See ``Runner``. spec: see ``load_frames``, or ``given_frames``."""
        wanted = f"{__version__}/{INTERFACE}"
        needed = (*_NEEDED, PLAN_FILE) if options.clocked else _NEEDED
        problems = Problems(check_interface(project, wanted, needed))
        problems.stop()
        model = load_model(project.path(MODEL_FILE))
        if options.clocked and limit is None:
            limit = FIRST_FRAMES  # so many run anyway, and each takes seconds
        if not isinstance(spec, str | Path | np.ndarray) and not is_given(spec):
            what = f"an input of the type {type(spec).__name__}"
            remedy = "give what --input takes, or images as an array uint8 (N, H, W, C)"
            raise InputError(Problem(what, remedy))
        if not isinstance(spec, str | Path):
            frames = given_frames(spec, model.preprocess, limit)
        else:
            frames = load_frames(
                str(spec), model.preprocess, limit=limit, data_dir=options.data_dir,
                classes=model.labels,
            )  # fmt: skip
        return FrameSamples(model, frames, options=options)

    def stored(self, samples: FrameSamples) -> tuple[str, bytes]:
        """See ``StoresSamples``. Frames of the network's own size, uint8 (N, H, W, C)."""
        held = io.BytesIO()
        np.save(held, samples.frames.images, allow_pickle=False)
        return "frames.npy", held.getvalue()

    def restored(
        self, project: Project, file: Path, limit: int | None, options: FrameOptions
    ) -> FrameSamples:
        """See ``StoresSamples``."""
        # A path that begins like a built-in input is a file all the same.
        return self.samples(project, str(file.absolute()), limit, options)

    def check(self, samples: FrameSamples, names: Sequence[str]) -> list[Problem]:
        """See ``Runner``."""
        if FLOAT in names and (found := float_problems(samples.model)):
            return found
        if not samples.options.clocked:
            return []
        found = clocked_problems(names)
        if samples.options.timeline is not None:
            found += output_problems(samples.options.timeline)
        return found

    def notes(self, samples: FrameSamples) -> Sequence[str]:
        """See ``Runner``."""
        return samples.frames.notes

    def batches(self, samples: FrameSamples, every_stage: bool) -> Iterable[FrameSamples]:
        """See ``Runner``."""
        model, frames = samples.model, samples.frames
        a_frame = sum(t.channels * t.height * t.width * 2 for t in model.tensors.values())
        size = max(1, _TRACE_BYTES // (2 * a_frame)) if every_stage else len(frames)
        for start in range(0, len(frames), size):
            part = slice(start, start + size)
            labels = None if frames.labels is None else frames.labels[part]
            own = Frames(frames.images[part], labels, frames.names[part])
            yield replace(samples, frames=own, first=samples.first + start)

    def run(
        self,
        project: Project,
        samples: FrameSamples,
        at: str,
        *,
        every_stage: bool = True,
        time_limit_s: float = 600.0,
        progress: Progress | None = None,
    ) -> Run:
        """See ``Runner``. "float" gives real values, all others integer codes; a device gives the
        maps that its controller stores, and the output."""
        model = samples.model
        limits = (every_stage, time_limit_s, progress)
        tensors, facts = checkpoint_tensors(project, samples, at, *limits)
        order = [name for name in tensor_order(model) if name in tensors]
        trace = tensor_trace(tensors, order, model, samples.first)
        outputs = tensors[model.output].reshape(len(samples), -1)
        return Run(at, trace, Tensors(outputs, tensors), facts)

    def labelled(
        self, project: Project, spec: Any, limit: int | None, options: FrameOptions, *,
        calibrated: bool,
    ) -> Labelled:  # fmt: skip
        """See ``Evaluates``. spec: see ``load_labelled``."""
        Problems(check_interface(project, f"{__version__}/{INTERFACE}", _NEEDED)).stop()
        model = load_model(project.path(MODEL_FILE))
        return labelled_frames(model, spec, limit, options, calibrated=calibrated)

    def ends(self, samples: FrameSamples, run: Run) -> tuple[NDArray[np.floating], None]:
        """See ``Evaluates``. Logits; every frame runs through the whole network."""
        outputs: NDArray[np.float64] = run.result.outputs.astype(np.float64)
        model = samples.model
        scale = 1.0 if run.at == FLOAT else 2.0 ** int(model.tensors[model.output].grid.exponent)
        return outputs * scale, None

    def pair(self, samples: FrameSamples, a: Run, b: Run) -> Pair:
        """See ``Runner``. SQNR and equality layer by layer; the float network is only measured."""
        model = samples.model
        left, right = a.result.tensors, b.result.tensors
        order = [name for name in tensor_order(model) if name in left and name in right]
        layers = compare_checkpoints(left, right, order, model=model)
        exact = FLOAT not in (a.at, b.at)
        mismatches = sum(layer.mismatches for layer in layers)
        divergence = None
        if exact and mismatches:
            divergence = compare_traces(a.trace, b.trace).differences[0]
        same = a.result.outputs.argmax(axis=1) == b.result.outputs.argmax(axis=1)
        figures = {
            "output_sqnr_db": next(x.sqnr_db for x in layers if x.tensor == model.output),
            "top1_agreement": float(np.mean(same)),
            "layers": [layer.to_dict() for layer in layers],
        }
        table = comparison_table(layers, a.at, b.at)
        values = sum(layer.total for layer in layers)
        return Pair(
            a.at, b.at, len(samples), exact, values, mismatches, divergence, figures, (table,)
        )

    def clocked(
        self,
        project: Project,
        samples: FrameSamples,
        at: str,
        *,
        every_stage: bool,
        time_limit_s: float,
        progress: Progress | None,
    ) -> Emulation | None:
        """See ``Runner``. Writes the timeline, where one is asked for."""
        if not samples.options.clocked:
            return None
        want, _ = checkpoint_tensors(project, samples, GOLDEN, every_stage, time_limit_s, progress)
        limits = (every_stage, time_limit_s, progress)
        job = ClockedJob(
            project.folder, samples.model, at, samples.codes, want, samples.first, *limits
        )
        return clocked_emulation(job, samples, self.whole)

    def counted(self, project: Project, device: str, limits: RunLimits) -> dict[str, Any]:
        """See ``Counts``. Cycles hardly depend on samples: noise is run."""
        samples = self.samples(project, "random:0", None, FrameOptions(clocked=True))
        found = self.clocked(
            project, samples, device,
            every_stage=False, time_limit_s=limits.time_limit_s, progress=limits.progress,
        )  # fmt: skip
        assert found is not None  # asked for
        if found.divergence is not None:
            raise CheckFailed(divergence_text(found.divergence, GOLDEN, device))
        return counted_documents(found)

    def facts(
        self, samples: FrameSamples, got: Sequence[Run], want: Sequence[Run]
    ) -> dict[str, Any]:
        """See ``Runner``. top1, reference_top1: None without labels; seconds_per_sample: on the
        device, host transfers included; predictions: classes of the first output, heads: what each
        output says (``Head``)."""
        outputs, labels = self.outputs(got), samples.frames.labels
        model = samples.model
        codes = {
            name: np.concatenate([run.result.tensors[name] for run in got])
            for name in model.outputs
        }
        heads = read_heads(model, codes)
        return {
            "platform": got[0].facts.get("platform", ""),
            "channels": got[0].facts.get("channels", ""),
            "top1": top1(outputs, labels),
            "reference_top1": top1(self.outputs(want), labels),
            "seconds_per_sample": sum(run.facts.get("seconds", 0.0) for run in got) / len(samples),
            "predictions": list(heads[0].classes),
            "heads": [head.to_dict() for head in heads],
        }

    def told(self, samples: FrameSamples, run: Run) -> dict[str, Any]:
        """See ``Runner``. top1: None without labels."""
        return {"top1": top1(run.result.outputs, samples.frames.labels)}

    def outputs(self, got: Sequence[Run]) -> NDArray[Any]:
        """Output codes (N, K)."""
        return np.concatenate([run.result.outputs for run in got])

    def rows(self, samples: FrameSamples, emulation: Emulation) -> tuple[Table, ...]:
        """See ``Runner``."""
        facts = emulation.facts
        rows: list[tuple[object, ...]] = [
            ("device", emulation.device),
            ("platform", facts["platform"]),
            ("channels", facts["channels"]),
            ("samples", f"{emulation.samples:,}"),
            ("compared", f"{emulation.checked}: {emulation.elements:,} integers"),
            ("mismatches", f"{emulation.mismatches:,}"),
        ]
        if isinstance(emulation, ClockedEmulation):
            rows += [("timeline", facts["timeline"])] if facts["timeline"] else []
            return (Table("", ("", ""), tuple(rows)), *emulation.tables)
        seconds = f"{facts['seconds_per_sample']:.4f} (emulated, not the FPGA's)"
        rows.append(("seconds a sample", seconds))
        if facts["top1"] is not None:
            rows.insert(4, ("top-1 accuracy", f"{facts['top1']:.2%}"))
            return (Table("", ("", ""), tuple(rows)),)
        names, labels = samples.frames.names, samples.model.labels
        columns, first = heads_table(names, labels, facts["heads"])
        told = [Table("first samples", columns, tuple(first[:_SHOWN]))] if first else []
        return (Table("", ("", ""), tuple(rows)), *told)


RUNNER = ImageRunner()
