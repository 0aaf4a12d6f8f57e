"""``shiftforge train --network``: any network, data set and scheme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from shiftforge.cli.train_checks import SCHEME, network_run_problems, read_settings, word_array
from shiftforge.cli.train_options import ImageOptions
from shiftforge.errors import InputError
from shiftforge.quant.models.folder import MODEL

if TYPE_CHECKING:
    from shiftforge.quant.models.run import Outcome, RunConfig
    from shiftforge.quant.schemes.base import Scheme

__all__ = ["train_network"]


def train_network(given: ImageOptions, as_json: bool) -> None:
    """Train, print, and write model.safetensors where the scheme fits the integer graph.

    given.network is a name. Raises InputError with everything that is wrong with the options, the
    data and the folder.
    """
    if problems := network_run_problems(given):
        raise InputError(problems)
    from shiftforge.cli.output import note, progress
    from shiftforge.quant.graph.file import save_model
    from shiftforge.quant.models.fit import Progress
    from shiftforge.quant.models.run import run

    config = _config(given)
    note(f"training in {given.output}")
    with progress() as advance:

        def report(at: Progress) -> None:
            done = (at.epoch - 1) * at.steps + at.step
            advance(f"{at.stage} training, steps", done, at.epochs * at.steps)
            if at.step == 1 and at.accuracy is not None:
                note(
                    f"{at.stage}: validation {at.accuracy:.2%} after {at.epoch - 1} of "
                    f"{at.epochs} epochs, about {at.seconds_left:.0f} s left"
                )

        outcome = run(config, report)
    model = None
    if outcome.model is not None:
        model = given.output / MODEL
        save_model(outcome.model, model)
    _print(outcome, model, as_json)


def _print(outcome: Outcome, model: Path | None, as_json: bool) -> None:
    from shiftforge.cli.output import note, print_json, print_table, print_text
    from shiftforge.cli.quantize_choice import print_choice
    from shiftforge.quant.graph.variants import META_KEY
    from shiftforge.quant.schemes.summary import table

    if as_json:
        print_json(
            {
                "checkpoint": outcome.checkpoint,
                "model": model,
                "validation": outcome.validation,
                "test": outcome.test,
                "layers": outcome.layers,
                "second_terms": None if outcome.model is None else outcome.model.meta.get(META_KEY),
                "refused": [str(problem) for problem in outcome.refused],
            }
        )
        return
    if outcome.layers:
        print_text(table(outcome.layers))
    rows = [(s, f"{outcome.validation[s]:.2%}", f"{t:.2%}") for s, t in outcome.test.items()]
    print_table("", ("stage", "validation", "test"), rows)
    if outcome.model is not None:
        print_choice(outcome.model)
    for problem in outcome.refused:
        note(f"no integer model: {problem}")


def _config(given: ImageOptions) -> RunConfig:
    """What the options say; they have been checked."""
    from shiftforge.generator.conv.second_words import word_planner
    from shiftforge.quant.models.qat import Options
    from shiftforge.quant.models.run import RunConfig

    scheme = None if given.tune_epochs == 0 else _scheme(given)
    array = word_array(given)
    usual = "wide" if array is None else "same"
    ends = cast("Literal['wide', 'same', 'float']", given.first_last or usual)
    return RunConfig(
        folder=given.output,
        network=given.network or "",
        data=given.data or "digits",
        scheme=scheme,
        options=Options(ends, ends, _overrides(given)),
        start=given.start,
        epochs=given.epochs,
        tune_epochs=given.tune_epochs or None,
        final_epochs=given.final_epochs,
        rate=given.rate,
        tune_rate=given.tune_rate,
        batch=given.batch,
        schedule=given.schedule,
        distil=given.distil,
        seed=given.seed,
        limit=given.limit,
        size=given.resolution,
        channels=given.channels,
        device=given.device,
        resume=given.resume,
        planner=None if array is None else word_planner(*array),
    )


def _scheme(given: ImageOptions) -> Scheme:
    from shiftforge.quant.schemes.catalogue import by_name

    options = read_settings(given.settings)
    if given.terms is not None:
        options["terms"] = given.terms
    name = given.scheme or SCHEME
    bits = None if name == "xnor" else given.activation_bits or None
    return by_name(name, bits=given.bits, activation_bits=bits, **options)


def _overrides(given: ImageOptions) -> dict[str, Scheme | None]:
    """PATTERN=SCHEME[:BITS] or PATTERN=float."""
    from shiftforge.quant.schemes.catalogue import by_name

    found: dict[str, Scheme | None] = {}
    for pair in given.overrides:
        pattern, _, text = pair.rpartition("=")
        name, _, bits = text.partition(":")
        width = None if name == "xnor" else given.activation_bits or None
        found[pattern] = (
            None
            if name == "float"
            else by_name(name, bits=int(bits) if bits else None, activation_bits=width)
        )
    return found
