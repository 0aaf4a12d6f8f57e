"""``shiftforge explore``: the designs of a model on boards that no other design betters."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.command import CheckedCommand, FiniteRange
from shiftforge.cli.options import json_option, output_file_problems, time_limit_option
from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from shiftforge.cli.explore_confirm import Confirmed
    from shiftforge.generator.exploring import Exploration, FrontPoint

__all__ = ["command"]

_CONFIRMED = 10
_SHOWN = 40
_LIMITS = ("target_fps", "max_alm", "max_ram", "min_sqnr")


def _early(plot: Path | None, confirm: bool, device: str | None, **values: Any) -> list[Problem]:
    from shiftforge.cli.explore_plot import is_plot
    from shiftforge.cli.options import device_problems
    from shiftforge.cli.plots import plot_problems

    problems: list[Problem] = []
    if plot is not None:
        problems += plot_problems() + output_file_problems(plot, ".png", is_plot)
    if device is not None:
        from shiftforge.sim.opencl.devices import clocked_problems

        problems += device_problems([device]) or clocked_problems([device])
        if not confirm:
            problems.append(Problem("--device is for --confirm", "leave one of them out"))
    return problems


def _places(model: Path, board: Sequence[str], **values: Any) -> list[Problem]:
    from shiftforge.boards.load import load_board
    from shiftforge.errors import Problems
    from shiftforge.generator.target import target_of_file

    problems = Problems()
    problems.check(target_of_file, model)
    for name in board:
        problems.check(load_board, name)
    return problems


@click.command(
    "explore",
    cls=CheckedCommand,
    early=_early,
    places=_places,
    short_help="Model many designs of a model; show those that no other one betters.",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--board", multiple=True, metavar="NAME",
    help="A name from `boards`, or a .toml; several, or all that there are.",
)  # fmt: skip
@click.option(
    "-n", "--points", type=click.IntRange(1, 2_000_000), default=100_000, show_default=True,
    metavar="POINTS", help="About so many designs are modelled, all distinct.",
)  # fmt: skip
@click.option("--target-fps", type=FiniteRange(min=0, min_open=True),
              help="Modelled frames a second, at least.")  # fmt: skip
@click.option("--max-alm", type=FiniteRange(min=0, min_open=True),
              help="ALMs at most: a share of the board's (0.25) or a number.")  # fmt: skip
@click.option("--max-ram", type=FiniteRange(min=0, min_open=True),
              help="RAM blocks at most, likewise.")  # fmt: skip
@click.option("--min-sqnr", type=FiniteRange(min=0, min_open=True),
              help="dB at least, of the weights of which the file holds a choice.")  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png",
              help="Draw the front.")  # fmt: skip
@click.option("--confirm/--no-confirm", default=True, show_default=True,
              help="Run the ten best with simulated time.")  # fmt: skip
@click.option("--device", metavar="NAME", help="Of these runs: pocl or intel-cpu (the first).")
@time_limit_option("End a clocked run after this long.")
@json_option
def command(
    model: Path, board: Sequence[str], points: int, plot: Path | None, confirm: bool,
    device: str | None, time_limit: float, as_json: bool, **limits: float | None,
) -> int:  # fmt: skip
    """Model the designs of MODEL (a .safetensors file of `quantize`) on boards.

    Units, pixels, frames in flight, depths of channels and the weights that the file holds are
    combined. What no other design betters in rate, latency, ALMs, RAM and SQNR is told with the
    command that generates it; designs less than 1 % (0.05 dB) apart are one. Figures are modelled;
    RAM is a lower bound until a design is planned. The ten best, evenly from the fastest to the
    smallest, are planned and counted in clocked runs.
    """
    import time

    from shiftforge.boards.load import list_boards, load_board
    from shiftforge.cli.output import print_json
    from shiftforge.errors import Problems
    from shiftforge.generator.exploring import Explores
    from shiftforge.generator.target import options_from, target_of_file

    problems = Problems()
    target = problems.check(target_of_file, model)
    names = list(dict.fromkeys(board)) or list_boards()
    boards = [found for name in names if (found := problems.check(load_board, name)) is not None]
    network = None if target is None else problems.check(target.load, model)
    problems.stop()
    if not isinstance(target, Explores):
        what = "explore is for convolutions; this model has one design a board"
        raise InputError(Problem(what, "use generate", str(model)))
    given = {name: value for name, value in limits.items() if value is not None}
    options = options_from(target.options, given)
    started = time.monotonic()
    found = target.explore(network, tuple(boards), options, points)
    seconds = time.monotonic() - started
    if not as_json:
        _print(found, seconds, shlex.quote(str(model)))
    confirmed = _confirmed(target, network, boards, found, device, time_limit) if confirm else []
    if plot is not None:
        from shiftforge.cli.explore_plot import plot_front

        counted = {c.number: c.point.fps / c.ratio for c in confirmed if c.ratio is not None}
        plot_front(plot, model.stem, found.front, counted)
    if as_json:
        print_json(_document(found, seconds, confirmed, shlex.quote(str(model)), plot))
    elif confirmed:
        _print_confirmed(confirmed)
    return 0


def _confirmed(
    target: Any, network: Any, boards: Sequence[Any], found: Exploration, device: str | None,
    time_limit: float,
) -> list[Confirmed]:  # fmt: skip
    from shiftforge.cli.explore_confirm import best_of, confirm
    from shiftforge.cli.output import progress
    from shiftforge.steps import default_device

    name = device or default_device()
    best = best_of(found.front, _CONFIRMED)
    with progress() as advance:
        runs = confirm(target, network, boards, found.front, best, name, time_limit, advance)
        return list(runs)


def _figures(point: FrontPoint) -> tuple[str, ...]:
    return (
        point.board,
        f"{point.fps:,.0f}",
        f"{point.latency_ms:.3f}",
        f"{point.alm:,} ({point.alm_fraction:.1%})",
        f"{'' if point.ram_planned else '>= '}{point.ram_blocks:,} ({point.ram_fraction:.1%})",
        "" if point.sqnr_db is None else f"{point.sqnr_db:.2f}",
    )


_COLUMNS = ("board", "fps", "latency ms", "ALMs", "RAM blocks", "SQNR dB")


def _print(found: Exploration, seconds: float, model: str) -> None:
    from shiftforge.cli.output import note, print_table

    shown = found.front
    if len(shown) > _SHOWN:
        step = (len(shown) - 1) / (_SHOWN - 1)
        shown = tuple(shown[round(k * step)] for k in range(_SHOWN))
        note(f"{_SHOWN} of {len(found.front)} designs are shown; --json has all")
    title = (
        f"{found.points:,} distinct points modelled in {seconds:.1f} s, {found.fitting:,} fit; "
        f"{len(found.front)} that no other one betters"
    )
    rows = [(*_figures(point), point.option_text) for point in shown]
    print_table(title, (*_COLUMNS, f"shiftforge generate {model} --board NAME -o DIR ..."), rows)


def _print_confirmed(confirmed: Sequence[Confirmed]) -> None:
    from shiftforge.cli.output import print_table

    rows = [
        (
            *_figures(own.point),
            f"{own.point.cycles:,}",
            own.refused if own.cycles is None else f"{own.cycles:,}",
            "" if own.ratio is None else f"{own.ratio:.4f}",
            own.point.option_text,
        )
        for own in confirmed
    ]
    columns = (*_COLUMNS, "modelled cycles", "counted cycles", "counted / modelled", "options")
    print_table("planned, and counted in clocked runs", columns, rows)


def _document(
    found: Exploration, seconds: float, confirmed: Sequence[Confirmed], model: str,
    plot: Path | None,
) -> dict[str, Any]:  # fmt: skip
    counted = {own.number: own for own in confirmed}
    return {
        "points": found.points,
        "fitting": found.fitting,
        "seconds": round(seconds, 3),
        "front": [_entry(p, model, counted.get(k)) for k, p in enumerate(found.front)],
        "confirmed": [own.number for own in confirmed],
        "plot": plot,
    }


def _entry(point: FrontPoint, model: str, run: Confirmed | None) -> Mapping[str, Any]:
    own = point if run is None else run.point
    entry = {**vars(own), "command": own.command(model)}
    if run is not None:
        entry |= {"counted_cycles": run.cycles, "counted_over_modelled": run.ratio}
        entry |= {"refused": run.refused} if run.refused else {}
    return entry
