"""One call a block: run its stream through the file bench and compare every value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scoreboard import check_rows
from sfu_model import SfuModel, SfuRun, unpack_lanes
from sfu_streams import Beat, Group, Row

from shiftforge.generator.edgebert.rtl_latency import ADD_LATENCY
from shiftforge.generator.edgebert.sfu import SfuConfig


def words(rows: Sequence[Row], valid: str) -> list[Beat]:
    """A word a vector, and one before where settings change."""
    found = []
    for row in rows:
        if row.settings is not None:
            found.append({**row.settings, "set": 1, valid: 1})
        found += [{**beat, valid: 1} for beat in row.beats]
    return found


def row_numbers(rows: Sequence[Row]) -> list[int]:
    """Of every transfer, counted over all tiles."""
    found: list[int] = []
    first = 0
    for row in rows:
        found += [first + place % row.count for place in range(len(row.want))]
        first += row.count
    return found


def compare(
    function: str,
    got: Sequence[Sequence[int]],
    rows: Sequence[Row],
    parts: Sequence[str] = (),
) -> None:
    """Each output transfer against its row's; raises CheckFailed at a difference."""
    want = [transfer for row in rows for transfer in row.want]
    check_rows(
        function,
        np.array(got, dtype=np.int64).reshape(-1, len(want[0]) if want else 0),
        np.array(want, dtype=np.int64),
        row_numbers(rows),
        parts,
    )


def codes(run: SfuRun, config: SfuConfig, name: str) -> list[list[int]]:
    """The lanes of an output port of AF codes."""
    return [unpack_lanes(r[name], config.af_bits, config.lanes, signed=False) for r in run.outputs]


def fixed(run: SfuRun, config: SfuConfig, name: str) -> list[list[int]]:
    """The lanes of an output port of 32-bit fixed point."""
    return [unpack_lanes(r[name], 32, config.lanes, signed=True) for r in run.outputs]


def check_softmax(config: SfuConfig, model: SfuModel, group: Group) -> None:
    stream = [{**write, "mask_we": 1} for write in group.writes]
    beats = words(group.rows, "in_valid")
    run = model.run(stream + beats)
    compare("softmax", codes(run, config, "out_code"), group.rows)
    assert sum(r["out_last"] for r in run.outputs) == len(group.rows)


def check_entropy(model: SfuModel, group: Group) -> None:
    run = model.run(words(group.rows, "in_valid"))
    got = [(r["exit"], r["entropy"]) for r in run.outputs]
    compare("entropy", got, group.rows, ("exit", "entropy"))
    assert {row.want[0][0] for row in group.rows} == {0, 1}


def check_norm(config: SfuConfig, model: SfuModel, groups: Sequence[Group]) -> None:
    stream: list[Beat] = []
    for group in groups:
        # Parameters are written between rows: a setting waits for those under way.
        stream.append({"set": 1, "in_valid": 1})
        stream += [{**write, "param_we": 1} for write in group.writes]
        stream += words(group.rows, "in_valid")
    run = model.run(stream)
    both = zip(fixed(run, config, "out_data"), codes(run, config, "out_code"), strict=True)
    rows = [row for group in groups for row in group.rows]
    parts = [f"{kind} of lane {i}" for kind in ("value", "code") for i in range(config.lanes)]
    compare("layer norm", [first + second for first, second in both], rows, parts)
    assert sum(r["out_last"] for r in run.outputs) == len(rows)


def check_gelu(config: SfuConfig, model: SfuModel, group: Group) -> None:
    run = model.run(words(group.rows, "valid"), drain=20)
    assert run.cycles <= len(group.rows) + 40
    compare("gelu", fixed(run, config, "data"), group.rows)


def check_sum(config: SfuConfig, model: SfuModel, group: Group) -> None:
    # The biases keep still until the sums have left.
    stream: list[Beat] = []
    biases: Beat = {}
    for row in group.rows:
        if row.settings is not None:
            stream += [biases] * ADD_LATENCY + [row.settings]
            biases = row.settings
        stream += [{**biases, **beat, "valid": 1} for beat in row.beats]
    run = model.run([*stream, *[biases] * ADD_LATENCY], drain=20)
    compare("add", codes(run, config, "code"), group.rows)


def check_dvfs(model: SfuModel, groups: Sequence[Group]) -> None:
    stream: list[Beat] = []
    for group in groups:
        # The tables change only after the last decision.
        stream += [*group.writes, *words(group.rows, "start"), *[{}] * 60]
    run = model.run(stream, drain=100)
    got = [(r["layer"], r["point"], r["late"]) for r in run.outputs]
    rows = [row for group in groups for row in group.rows]
    compare("dvfs", got, rows, ("layer", "point", "late"))
    want = [row.want[0] for row in rows]
    assert {late for _, _, late in want} == {0, 1} and len({point for _, point, _ in want}) > 8
