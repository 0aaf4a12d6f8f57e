"""Facts of the kernels as they were before one loop a layer, and what a frame takes with them.

    python bench/conv/old_form.py CHECKOUT

writes old_form.toml anew: CHECKOUT is of the commit that the file names. The planner of that commit
says how often the convolution kernel enters its inner loop and for how many iterations; the rules
of this one say of that commit's text which loops pipeline. The text itself is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.records import write_whole
from bench.conv.checkout import commit_of, environment
from shiftforge.files import read_text
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.rules.parse import parse_program
from shiftforge.generator.rules.pipeline import loop_table
from shiftforge.generator.rules.preprocess import preprocess

__all__ = ["FILE", "Costs", "OldForm", "OldLayer", "frame_cycles", "read_old_form", "with_bits"]

FILE = Path(__file__).with_name("old_form.toml")
INNER = "conv_step"
"""The function with the convolution kernel's inner loop, an entry a tile."""
SENDS = ("controller", "controller")
"""Kernel and function of the loop that sends a layer's operand lines."""
SHARES = 4
"""Kernels that requantise, clamp, add and pool, each with its share of the latency that one kernel
has for all of it."""
WAYS = 6
"""Channels between an operand's send and its stored result."""

Costs: TypeAlias = Literal["conv", "all"]
"""Whose entries are paid for: those of the convolution kernel alone, or of every kernel."""


@dataclass(frozen=True)
class OldLayer:
    """A layer of the old plan.

    groups: of output channels. tiles: output tiles a group. iterations: of the convolution kernel's
    inner loop in the whole layer. words: weight words a group. lines: that the controller sends.
    direct: results leave unstored. modelled: cycles that the old model gave.
    """

    name: str
    mode: str
    groups: int
    tiles: int
    iterations: int
    words: int
    lines: int
    direct: int
    modelled: int

    @property
    def entries(self) -> int:
        """Entries of the convolution kernel's inner loop."""
        return self.groups * self.tiles


@dataclass(frozen=True)
class OldForm:
    """What old_form.toml holds.

    loops: of the text, each with the fields of ``loops.json``. channels: name, bits of a word and
    depth of each.
    """

    commit: str
    board: str
    units: int
    pixels: int
    terms: int
    clock_mhz: float
    modelled_cycles: int
    modelled_cycles_two_terms: int
    image_rows: int
    image_blocks: int
    image_lines: int
    layers: tuple[OldLayer, ...]
    channels: tuple[dict[str, Any], ...]
    loops: tuple[dict[str, Any], ...]

    @property
    def entries(self) -> int:
        """Entries of the convolution kernel's inner loop in a frame."""
        return sum(layer.entries for layer in self.layers)

    @property
    def iterations(self) -> int:
        """Iterations of that loop in a frame."""
        return sum(layer.iterations for layer in self.layers)

    @cached_property
    def inner_ii(self) -> int:
        """Interval of that loop as the rules say."""
        return self._ii("conv", INNER)

    @cached_property
    def sends_ii(self) -> int:
        """Interval of the loop that sends operand lines."""
        found = [x for x in self.loops if (x["kernel"], _function(x)) == SENDS and x.get("ii")]
        return max(int(x["ii"]) for x in found)

    def _ii(self, kernel: str, function: str) -> int:
        (ii,) = [x["ii"] for x in self.loops if x["kernel"] == kernel and _function(x) == function]
        return int(ii)


def _function(loop: dict[str, Any]) -> str:
    return str(loop["loop"]).partition(":")[0]


def read_old_form(path: Path = FILE) -> OldForm:
    """The data file. Raises InputError where it cannot be read, ValueError for broken TOML."""
    found = tomllib.loads(read_text(path))
    layers = tuple(OldLayer(**layer) for layer in found.pop("layers"))
    channels, loops = tuple(found.pop("channels")), tuple(found.pop("loops"))
    return OldForm(layers=layers, channels=channels, loops=loops, **found)


def frame_cycles(form: OldForm, latencies: Latencies, costs: Costs, rules_ii: bool) -> int:
    """Cycles of a frame with the old kernels, modelled.

    rules_ii: intervals of the pipelined loops as the rules say; otherwise 1. An entry of a loop
    inside one that is not pipelined takes its iterations x interval, the kernel's latency until it
    has drained, and re-entry.

    "conv" adds up the convolution kernel's entries and nothing else: no other kernel is ever
    slower, layers follow each other without a gap, the image is there. "all": kernels run beside
    each other, a tile takes the slowest of them, and a group of channels no less than the weight
    words of the next one; between layers lie the kernels' latencies, and the image comes first.
    """
    inner = form.inner_ii if rules_ii else 1
    if costs == "conv":
        again = latencies.conv + latencies.reentry
        return form.iterations * inner + form.entries * again
    sends = form.sends_ii if rules_ii else 1
    feeds = [_feed(layer, latencies) for layer in form.layers]
    total = float(_image(form, latencies))
    for i, layer in enumerate(form.layers):
        # A group's last entry only swaps the banks, and loads the next group's instruction.
        swap = latencies.global_load + latencies.reentry
        group = layer.tiles * _tile(layer, latencies, inner, sends) + swap
        after = feeds[(i + 1) % len(feeds)]
        total += (layer.groups - 1) * max(group, feeds[i]) + max(group, after)
        total += _gap(latencies)
    return round(total)


def _tile(layer: OldLayer, latencies: Latencies, inner: int, sends: int) -> float:
    """Cycles between two tiles: of the slowest kernel."""
    conv = layer.iterations / layer.entries * inner + latencies.conv + latencies.reentry
    results = latencies.post / SHARES + latencies.reentry
    return max(conv, results, layer.lines / layer.entries * sends)


def _feed(layer: OldLayer, latencies: Latencies) -> int:
    """Cycles of a group's parameters and weight words in the feeder, which loads one an entry."""
    return (layer.words + 1) * (latencies.feeder + latencies.global_load + latencies.reentry)


def _gap(latencies: Latencies) -> int:
    """From a layer's last result in the convolution kernel to the next one's first operand there:
    the kernels behind it, the controller twice, its re-entry and its instruction's load."""
    ways = WAYS * latencies.channel + latencies.post + 2 * latencies.controller
    return ways + latencies.reentry + latencies.global_load


def _image(form: OldForm, latencies: Latencies) -> int:
    """Cycles of the loader: a row's blocks, and an entry for each of its lines."""
    row = form.image_blocks + latencies.global_load
    return form.image_rows * row + form.image_lines * (latencies.loader + latencies.reentry)


def _toml(found: dict[str, Any]) -> str:
    """The file's text: figures, then a layer and a loop a line."""
    head = [
        "# The convolution kernels before one loop a layer: MobileNetV2 1.0/224, one-term weights.",
        "# By bench/conv/old_form.py CHECKOUT, from a checkout of the commit: layers are its",
        "# planner's; loops are what the rules say of its text.",
    ]
    plain = {k: v for k, v in found.items() if k not in ("layers", "channels", "loops")}
    lines = [*head, *(f"{k} = {json.dumps(v)}" for k, v in plain.items())]
    for name in ("layers", "channels", "loops"):
        rows = (
            ", ".join(f"{k} = {json.dumps(v)}" for k, v in row.items() if v is not None)
            for row in found[name]
        )
        lines += [f"{name} = [", *(f"  {{ {row} }}," for row in rows), "]"]
    return "\n".join(lines) + "\n"


def with_bits(text: str, channels: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Channels with the bits of their type in a text of kernels, in place of its name."""
    prepared = preprocess(text, {})
    sizes = parse_program(prepared.tokens, prepared.comments).type_bytes
    return [
        {"name": c["name"], "bits": 8 * sizes[c["type"]], "depth": c["depth"]} for c in channels
    ]


def make(checkout: Path) -> str:
    """The text of the data file."""
    script = Path(__file__).with_name("old_plan.py")
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as farm:
        done = subprocess.run(
            [sys.executable, str(script), str(checkout.resolve())],
            env={**os.environ, **environment(checkout, Path(farm))},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    text = found.pop("text")
    found["channels"] = with_bits(text, found["channels"])
    loops = [
        {"kernel": e.kernel, "loop": e.loop, "trip_count": e.trip_count, "depth": e.depth,
         "ii": e.ii, "pipelined": e.pipelined, "at_least": e.at_least, "limit": e.limit}
        for e in loop_table(text)
    ]  # fmt: skip
    return _toml({"commit": commit_of(checkout), **found, "loops": loops})


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path, help="of the commit before one loop a layer")
    write_whole(FILE, make(parser.parse_args().checkout))
    form = read_old_form()
    print(f"{form.entries:,} entries, {form.iterations:,} iterations, {len(form.loops)} loops")


if __name__ == "__main__":
    main()
