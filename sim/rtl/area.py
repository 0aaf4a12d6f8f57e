"""Area of generated SystemVerilog: Yosys maps it to the logic cells of Intel's Cyclone V.

Cyclone V is the only family of Yosys's ``synth_intel_alm``; its ALM is that of Arria 10 too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

from shiftforge.generator.rtl_files import sources_below
from shiftforge.kept import Kept, cache_place, digest
from shiftforge.scratch import work_folder
from shiftforge.sim.rtl.yosys import (
    read_commands,
    require_yosys,
    run_yosys,
    yosys_version,
)

__all__ = ["FAMILY", "Cells", "Memory", "Synthesis", "synthesise"]

FAMILY = "cyclonev"
RAM_MODULE = "pu_ram"
"""The unit's only module of RAM: left out of the logic and told as memories."""
LUT_CELLS = {
    "MISTRAL_ALUT6": 1.0,
    "MISTRAL_ALUT5": 0.75,
    **{f"MISTRAL_{kind}": 0.5 for kind in ("ALUT4", "ALUT3", "ALUT2", "ALUT_ARITH", "NOT")},
}
MLAB_ALM = 0.5  # one bit of 32 words; ten ALMs make 32 x 20
NINE_BIT_A_BLOCK = {"MISTRAL_MUL9X9": 1 / 3, "MISTRAL_MUL18X18": 1 / 2, "MISTRAL_MUL27X27": 1.0}
M10K_SHAPES = ((256, 40), (512, 20), (1024, 10), (2048, 5), (4096, 2), (8192, 1))

# Yosys joins an adder tree to one many-operand sum before it knows of carry chains, and then builds
# it of LUTs. An adder that is an $alu already stays apart and gets its chain.
ADDERS = r"""
(* techmap_celltype = "$add" *)
module shiftforge_add_on_chain (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  (* force_downto *) output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] x, carries;
  \$alu #(
    .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED),
    .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) _TECHMAP_REPLACE_ (.A(A), .B(B), .BI(1'b0), .CI(1'b0), .Y(Y), .X(x), .CO(carries));
endmodule
"""


@dataclass(frozen=True)
class Cells:
    """Logic cells. luts: LUT and adder cells; alms: these and MLABs, in ALMs.

    alms = 6-input LUTs + 0.75 x 5-input LUTs + 0.5 x (smaller LUTs, adder bits, MLAB bits).
    flip_flops are not in alms (an ALM has four). multipliers: of 9, 18 and 27 bits together;
    dsp_blocks: blocks that hold them, three 9-bit or two 18-bit ones a block.
    """

    luts: int = 0
    alms: float = 0.0
    flip_flops: int = 0
    multipliers: int = 0
    dsp_blocks: float = 0.0

    def __add__(self, other: Cells) -> Cells:
        return Cells(
            self.luts + other.luts,
            self.alms + other.alms,
            self.flip_flops + other.flip_flops,
            self.multipliers + other.multipliers,
            self.dsp_blocks + other.dsp_blocks,
        )

    def times(self, count: int) -> Cells:
        """``count`` of them."""
        return Cells(
            self.luts * count,
            self.alms * count,
            self.flip_flops * count,
            self.multipliers * count,
            self.dsp_blocks * count,
        )


@dataclass(frozen=True)
class Memory:
    """``count`` RAMs of ``words`` words of ``width`` bits."""

    width: int
    words: int
    count: int

    @property
    def bits(self) -> int:
        """Of all of them."""
        return self.width * self.words * self.count

    @property
    def blocks(self) -> int:
        """M10K blocks: each RAM in the shape that takes the fewest, none shared."""
        each = min(ceil(self.words / d) * ceil(self.width / w) for d, w in M10K_SHAPES)
        return each * self.count


@dataclass(frozen=True)
class Synthesis:
    """A mapped design. cells: by module, its own cells by kind; below: by module, its children.

    A module is named without its parameters; two that differ in them have names of their own.
    ``memories``: the RAMs under the top. Modules left out have no cells.
    """

    top: str
    cells: dict[str, dict[str, int]]
    below: dict[str, dict[str, int]]
    memories: tuple[Memory, ...]

    def own(self, module: str) -> Cells:
        """Cells of one module without its children."""
        return _count(self.cells.get(module, {}))

    def total(self, module: str | None = None) -> Cells:
        """Cells of a module (the top) with everything below it."""
        name = self.top if module is None else module
        found = self.own(name)
        for child, count in self.below.get(name, {}).items():
            found = found + self.total(child).times(count)
        return found

    def grouped(self, groups: Mapping[str, str], rest: str) -> dict[str, Cells]:
        """Cells by group. groups: by module (base name, or a prefix that ends in ``*``).

        A module without a group of its own counts to its parent's, the top to ``rest``.
        """
        found: dict[str, Cells] = {}

        def walk(name: str, group: str, count: int) -> None:
            group = _group(base_name(name), groups) or group
            found[group] = found.get(group, Cells()) + self.own(name).times(count)
            for child, children in self.below.get(name, {}).items():
                walk(child, group, count * children)

        walk(self.top, rest, 1)
        return found


def _group(name: str, groups: Mapping[str, str]) -> str | None:
    if name in groups:
        return groups[name]
    starred = (g for key, g in groups.items() if key.endswith("*") and name.startswith(key[:-1]))
    return next(starred, None)


def base_name(module: str) -> str:
    """A module's name without what Yosys writes around it for its parameters."""
    found = re.search(r"^(\w+)$|^\\(\w+)$|\\(\w+)", module)
    return next((g for g in found.groups() if g), module) if found else module


def _count(cells: Mapping[str, int]) -> Cells:
    alms = sum(LUT_CELLS.get(kind, 0.0) * n for kind, n in cells.items())
    return Cells(
        luts=sum(n for kind, n in cells.items() if kind in LUT_CELLS),
        alms=alms + MLAB_ALM * cells.get("MISTRAL_MLAB", 0),
        flip_flops=cells.get("MISTRAL_FF", 0),
        multipliers=sum(n for kind, n in cells.items() if kind in NINE_BIT_A_BLOCK),
        dsp_blocks=sum(NINE_BIT_A_BLOCK.get(kind, 0.0) * n for kind, n in cells.items()),
    )


def synthesise(
    text: Mapping[str, str],
    top: str,
    *,
    dsp: bool = True,
    flat: bool = False,
    leave_out: Sequence[str] = (),
    cache: Path | None = None,
) -> Synthesis:
    """Map ``top`` of the files, ``<module>.sv`` each; the same files, options and Yosys: cached.

    dsp: whether multipliers may use DSP blocks. flat: one netlist, or each module once and counted
    as often as it occurs (much quicker; no logic is shared across modules). leave_out: modules that
    are not counted, nor what they contain.
    Raises InputError without Yosys; ToolFailed where it refuses the text.
    """
    require_yosys()
    sources = sources_below(text, top, leave_out)
    commands = [*read_commands(sources, leave_out), *_commands(top, dsp, flat)]
    parts = [yosys_version(), ADDERS, *commands]
    parts += [part for name in sources for part in (name, text[name])]
    kept = Kept(cache_place("area") if cache is None else cache, f"{top}-{digest(parts)}")
    saved = kept.read()
    if saved is not None:
        return _loaded(saved)
    found = _run({name: text[name] for name in sources}, commands, top)
    kept.write(asdict(found))
    return found


def _commands(top: str, dsp: bool, flat: bool) -> list[str]:
    options = "-noiopad -noclkbuf" + ("" if dsp else " -nodsp") + ("" if flat else " -noflatten")
    return [
        f"hierarchy -check -top {top}",
        "tee -o before.json stat -json",
        f"select *{RAM_MODULE}*",
        "proc",
        "write_json -selected memories.json",
        "select -clear",
        f"blackbox *{RAM_MODULE}*",
        "proc -latches error",
        *(["flatten"] if flat else []),
        "opt_expr",
        "opt_clean",
        "wreduce",
        "techmap -map adders.v",
        "opt_clean",
        f"synth_intel_alm -family {FAMILY} {options} -top {top}",
        "tee -o after.json stat -json",
    ]


def _run(text: Mapping[str, str], commands: Sequence[str], top: str) -> Synthesis:
    with work_folder("area") as folder:
        run_yosys(folder, {**text, "adders.v": ADDERS}, commands, top)
        before, after, rams = (
            json.loads((folder / file).read_text(encoding="utf-8"))
            for file in ("before.json", "after.json", "memories.json")
        )
    modules = {_plain(key): value["num_cells_by_type"] for key, value in after["modules"].items()}
    cells, below = _split(modules)
    children = _split({_plain(k): v["num_cells_by_type"] for k, v in before["modules"].items()})[1]
    return Synthesis(top, cells, below, _memories(rams, children, top))


def _plain(name: str) -> str:
    return name.removeprefix("\\")


def _split(
    modules: Mapping[str, Mapping[str, int]],
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    """Cells and children of each module."""
    cells: dict[str, dict[str, int]] = {}
    below: dict[str, dict[str, int]] = {}
    for module, found in modules.items():
        cells[module] = {k: n for k, n in found.items() if _plain(k) not in modules}
        below[module] = {_plain(k): n for k, n in found.items() if _plain(k) in modules}
    return cells, below


def _memories(
    rams: Mapping[str, Any], below: Mapping[str, Mapping[str, int]], top: str
) -> tuple[Memory, ...]:
    """The RAMs under the top, of each shape once."""
    counts: Counter[str] = Counter()

    def walk(name: str, count: int) -> None:
        counts[name] += count
        for child, children in below.get(name, {}).items():
            walk(child, count * children)

    walk(top, 1)
    shapes: Counter[tuple[int, int]] = Counter()
    for module, described in rams["modules"].items():
        values = {k: int(v, 2) for k, v in described["parameter_default_values"].items()}
        shapes[values["Width"], 2 ** values["AddrWidth"]] += counts[_plain(module)]
    return tuple(Memory(*shape, count) for shape, count in sorted(shapes.items()) if count)


def _loaded(saved: Mapping[str, Any]) -> Synthesis:
    memories = tuple(Memory(**memory) for memory in saved["memories"])
    return Synthesis(saved["top"], saved["cells"], saved["below"], memories)
