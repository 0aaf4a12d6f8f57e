"""Simulated cycles a second of ALBERT-base layers on the EdgeBERT unit, states of the RTL in turn.

    python bench/edgebert/rtl_speed.py [--state NAME=CHECKOUT ...] [--layers 12] [--turns 2]
        [--out FILE]

Each state's model is built by its own checkout with its own options, and runs the same layers (n =
16, 128 tokens, 768 columns, 12 heads, 3,072 columns, lanes that multiply by a product). The state
"this" is this checkout. Told are seconds of the processor, which other work disturbs less than
wall-clock, least of all turns; FILE (results/rtl_speed.json) has every turn.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import BENCH, RESULTS, command_line, load, machine, print_table
from bench.common.records import write_json
from bench.conv.checkout import commit_of, environment

OUT = RESULTS / "rtl_speed.json"
DONE = re.compile(r"\bDONE cycles=(\d+)")
# Runs in the checkout: what its simulation would start is kept, with its files, and not started.
PREPARE = """
import json, shutil, sys
from pathlib import Path
from shiftforge.generator.edgebert import unit
from shiftforge.generator.edgebert.encoder import LayerShape
from shiftforge.generator.edgebert.sentence import choose_layer_unit
from shiftforge.sim.edgebert.rtl import encoder_cosim, encoder_run
folder = Path(sys.argv[1])
def keep(command, **_):
    program, *rest = command
    (image,) = (word[7:] for word in rest if word.startswith("+image="))
    shutil.copy(image, folder / "image.hex")
    shutil.copy(program, folder / "model")
    rest = [f"+{w[1:].split('=')[0]}={folder}/{Path(w).name}" if "/" in w else w for w in rest]
    print(json.dumps([str(folder / "model"), *rest]))
    sys.stdout.flush()
    raise SystemExit(0)
encoder_run.run_tool = keep
fields = unit.UnitConfig.__dataclass_fields__
changes = {"multipliers": "blocks"} if "multipliers" in fields else {}
shape = LayerShape()
encoder_cosim.cosim_layer(choose_layer_unit(16, shape, **changes), shape, layers=int(sys.argv[2]))
"""


def prepared(checkout: Path, layers: int, folder: Path) -> list[str]:
    """The command of a state's simulation, its model and image in the folder."""
    variables = environment(checkout, folder / "farm")
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(folder), str(layers)], env={**os.environ, **variables},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: list[str] = json.loads(done.stdout)
    return found


def timed(command: list[str]) -> dict[str, Any]:
    """Cycles and the processor's seconds of one run. Raises ValueError where it does not end."""
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    after = os.times()
    told = DONE.search(done.stdout)
    if told is None:
        raise ValueError(f"{command[0]} did not end: {done.stdout[-500:]}")
    seconds = after.children_user - before.children_user
    return {"cycles": int(told[1]), "processor": round(seconds, 2), "load": load()}


def _state(text: str) -> tuple[str, Path]:
    name, _, place = text.partition("=")
    if not (name and place and Path(place).is_dir()):
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=CHECKOUT")
    return name, Path(place)


def main() -> int:
    """Exit status 0; a state that does not run ends it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--state", type=_state, action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--layers", type=int, default=12, metavar="N")
    parser.add_argument("--turns", type=int, default=2, metavar="N")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    arguments = parser.parse_args()
    states = {**dict(arguments.state), "this": BENCH.parent}
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in states}
    with tempfile.TemporaryDirectory() as work:
        commands = {}
        for name, checkout in states.items():
            folder = Path(work) / name
            folder.mkdir()
            commands[name] = prepared(checkout, arguments.layers, folder)
        for _ in range(arguments.turns):
            for name, command in commands.items():
                turns[name].append(timed(command))
    speed = {
        name: max(turn["cycles"] / turn["processor"] for turn in found)
        for name, found in turns.items()
    }
    command = command_line()
    for name, place in arguments.state:
        command = command.replace(f"{name}={place}", f"{name}=CHECKOUT")
    write_json(arguments.out, {
        "command": command,
        "machine": machine(),
        "layers": arguments.layers,
        "commits": {name: commit_of(place) for name, place in states.items()},
        "turns": turns,
        "cycles_per_second": {name: round(value) for name, value in speed.items()},
    })  # fmt: skip
    first = next(iter(speed.values()))
    rows = [
        [name, f"{turns[name][0]['cycles']:,}", f"{value:,.0f}", f"{value / first:.2f}"]
        for name, value in speed.items()
    ]
    print_table(["state", "cycles", "cycles a second of the processor", "of the first"], rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
