"""``shiftforge.evaluate``: a project's accuracy on labelled samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.arguments import check_run, path_of
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.progress import Shown, shown_progress

if TYPE_CHECKING:
    from shiftforge.sim.accuracy import Evaluation

__all__ = ["evaluate"]


def evaluate(
    folder: str | Path,
    data: str | Path,
    *,
    at: str | Sequence[str] | None = None,
    limit: int | None = None,
    calibrated: bool = False,
    time_limit_s: float = 600.0,
    progress: Shown = None,
    edited: bool = False,
    **options: Any,
) -> Evaluation:
    """Accuracy of a generated project in float, in integers and on a device.

    data: class folders of pictures, a .csv of path,class, fashion-mnist:test; of texts a .tsv of
    text and label, or held-out texts. at: checkpoints (a name, or several), by default float,
    golden and the first usable device (of texts float where ``classifier`` is given). limit: the
    first so many samples. calibrated: count the pictures that calibrated the network, too. options:
    of the project's kind (threshold, classifier). progress: True shows it with the time left, or a
    function of (stage, done, total). Raises InputError with everything wrong with these.
    """
    from shiftforge.generator.project import check_unedited, open_project
    from shiftforge.generator.target import options_from
    from shiftforge.sim.compare import check_checkpoints
    from shiftforge.sim.evaluation import Evaluates
    from shiftforge.sim.evaluation import evaluate as run
    from shiftforge.sim.runner import runner_of

    flags = [("calibrated", calibrated), ("edited", edited)]
    check_run(limit, time_limit_s, flags, progress)
    project = open_project(path_of(folder, "the project's folder", "give a folder of generate"))
    runner = runner_of(project.kind)
    if not isinstance(runner, Evaluates):
        what = f"projects of the kind {project.kind} have no classes"
        raise InputError(Problem(what, "use compare", str(project.folder)))
    problems = Problems()
    if not edited:
        problems.check(check_unedited, project)
    chosen = problems.check(options_from, runner.options, options)
    names = [at] if isinstance(at, str) else [*(at or ())]
    for name in dict.fromkeys(names):
        problems += check_checkpoints(runner.checkpoints, name)
    problems.stop()
    assert chosen is not None
    found = runner.labelled(project, data, limit, chosen, calibrated=calibrated)
    if at is None:
        names = _default(runner, found.samples)
    problems += runner.check(found.samples, names)
    problems.stop()
    with shown_progress(progress) as tell:
        return run(project, runner, found, names, time_limit_s=time_limit_s, progress=tell)


def _default(runner: Any, samples: Any) -> list[str]:
    """Float where it can run, the reference, and the first usable device where there is one."""
    from shiftforge.sim.opencl.probe import first_usable

    first = [name for name in runner.first if not runner.check(samples, [name])]
    device, _ = first_usable()
    return [*first, "golden", *([device] if device is not None else [])]
