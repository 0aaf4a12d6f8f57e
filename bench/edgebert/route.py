"""Place and route of the EdgeBERT unit's blocks for a Lattice LFE5U-85, beside earlier RTL.

    python bench/edgebert/route.py NAME [--rows array:4:af,unit:4:af] [--seeds 1,2,3,4,5]
        [--checkout DIR] [--cycles] [--note ROW=TEXT] [--out FOLDER]

NAME: of this state of the RTL in the history, results/edgebert_route.json; its rows are replaced,
all others stay. --checkout: take the RTL of another checkout, routed by today's tool.
--cycles: also simulate one encoder layer for each n in CYCLES, on the same RTL. --note:
what limits a row whose figure cannot be had, and what was tried; it stands below the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import RESULTS, check_exit
from bench.common.records import write_json, write_whole
from bench.conv.checkout import environment
from bench.edgebert.route_tables import report
from shiftforge.generator.edgebert.blocks import Block
from shiftforge.generator.edgebert.constraints import TARGET_MHZ
from shiftforge.sim.rtl.nextpnr import PART, SPEED_GRADE
from shiftforge.sim.rtl.route import Routing, route, tool_versions

NAME = "edgebert_route"
SEEDS = (1, 2, 3, 4, 5)
KINDS = ("lut4", "carry", "comb", "ff", "dsp", "ram")
CYCLES = {4: "32x64x4x256", 8: "32x64x4x256", 16: "128x128x2x512"}
"""Layers that are simulated, by n: tokens x columns x heads x columns between the last products."""
RENDER = """
import json, sys
from shiftforge.generator.edgebert.rtl import render_processing_unit
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
lanes, weights, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
config = UnitConfig(lanes, weights=weights, a_buffer=size, b_buffer=size, c_buffer=size)
print(json.dumps(render_processing_unit(UnitDesign(config, SfuConfig(lanes)))))
"""


@dataclass(frozen=True, order=True)
class Row:
    """What is routed: a block, n and the kind of weights."""

    block: str
    lanes: int
    weights: str

    @property
    def key(self) -> str:
        """Of the row in the history."""
        return f"{self.block}:{self.lanes}:{self.weights}"


ROWS = (
    *(Row("array", n, weights) for n in (4, 8) for weights in ("af", "shift")),
    Row("post", 4, "af"),
    *(Row(block, n, "af") for block in ("exprow", "layernorm") for n in (4, 16)),
    Row("function", 4, "af"),
    Row("unit", 4, "af"),
)


def rows_of(text: str) -> list[Row]:
    """Of "block:n:weights,...", none of ""; raises argparse's error."""
    try:
        parts = [part.split(":") for part in text.split(",")] if text else []
        return [Row(block, int(lanes), weights) for block, lanes, weights in parts]
    except ValueError as error:
        raise argparse.ArgumentTypeError("write block:n:weights, such as array:4:af") from error


def rendered(row: Row, python: Sequence[str], variables: Mapping[str, str]) -> dict[str, str]:
    """The unit's files by the checkout whose Python it is."""
    block = Block(row.block, row.lanes, row.weights)  # type: ignore[arg-type]
    arguments = [str(row.lanes), row.weights, str(block.buffer)]
    done = subprocess.run(
        [*python, "-c", RENDER, *arguments], env={**os.environ, **variables},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout)
    return found


def measured(row: Row, routing: Routing) -> dict[str, Any]:
    """What the history keeps of a row."""
    path = routing.path
    return {
        **asdict(row),
        **{kind: routing.used[kind] for kind in KINDS},
        "does_not_fit": routing.too_many,
        "fmax_mhz": None if routing.fmax_mhz is None else round(routing.fmax_mhz, 1),
        "fmax_by_seed": {str(s): round(mhz, 1) for s, mhz in routing.fmax_by_seed.items()},
        "critical_path": None if path is None else str(path),
        "logic_ns": None if path is None else path.logic_ns,
        "routing_ns": None if path is None else path.routing_ns,
        "digest": routing.digest,
    }


def simulated(lanes: int, python: Sequence[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """Cycles of one layer."""
    arguments = ["unit", "layer", "--n", str(lanes), "--shape", CYCLES[lanes]]
    arguments += ["--opencl", "none", "--json"]
    done = subprocess.run(
        [*python, "-m", "shiftforge", *arguments], env={**os.environ, **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    check_exit(done.returncode, arguments)
    told = json.loads(done.stdout)
    kept = ("mismatches", "cycles", "ideal_cycles")
    command = " ".join(["shiftforge", *arguments])
    return {"command": command, "n": lanes, **{name: told[name] for name in kept}}


def read(path: Path) -> dict[str, Any]:
    """The history; an empty one where there is no file."""
    if not path.is_file():
        return {"part": f"{PART}-{SPEED_GRADE}", "target_mhz": TARGET_MHZ, "states": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Exit status 0; a row that cannot be routed ends it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--rows", type=rows_of, default=list(ROWS), metavar="ROW,ROW")
    parser.add_argument(
        "--seeds", type=lambda text: [int(s) for s in text.split(",")], default=list(SEEDS)
    )
    parser.add_argument("--checkout", type=Path, metavar="DIR")
    parser.add_argument("--cycles", action="store_true", help="simulate layers too")
    parser.add_argument("--note", action="append", default=[], metavar="ROW=TEXT")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="seeds at a time")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    arguments = parser.parse_args()
    os.nice(10)
    path = arguments.out / f"{NAME}.json"
    with tempfile.TemporaryDirectory() as farm:
        variables = environment(arguments.checkout, Path(farm)) if arguments.checkout else {}
        python = [sys.executable]

        def keep(kind: str, key: str, found: dict[str, Any] | str) -> None:
            """At once: a run that is broken off goes on where it stopped."""
            history = read(path)
            state = history["states"].setdefault(arguments.name, {"rows": {}, "cycles": {}})
            state["tools"] = tool_versions()
            state.setdefault(kind, {})[key] = found
            write_json(path, history)

        for note in arguments.note:
            keep("notes", *note.split("=", 1))
        for row in arguments.rows:
            text = rendered(row, python, variables)
            top = Block(row.block, row.lanes, "af").top
            routing = route(
                text, top, TARGET_MHZ, seeds=arguments.seeds, jobs=arguments.jobs,
                finished=lambda seed, row=row: print(f"{row.key}: seed {seed}", file=sys.stderr),
            )  # fmt: skip
            keep("rows", row.key, measured(row, routing))
        for lanes in CYCLES if arguments.cycles else ():
            keep("cycles", str(lanes), simulated(lanes, python, variables))
    text = report(read(path))
    print(text)
    write_whole(arguments.out / f"{NAME}.md", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
