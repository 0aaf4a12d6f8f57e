"""The SystemVerilog text of the lanes that lane_area.py synthesises, and which there are.

The modules lie in lane/. A unit is one output channel: nine taps of every pixel, whose weights'
decoders the pixels share, a registered adder tree a pixel and its accumulator of 32 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftforge.files import read_text

__all__ = [
    "CELL", "LANES", "PIXELS", "Lane", "Window", "lane_modules", "lane_top", "operand_text",
    "sum_name", "sum_top", "text_digest",
]  # fmt: skip

FOLDER = Path(__file__).with_name("lane")
CELL = "MISTRAL_ALUT_ARITH"
"""Yosys' cell of half an ALM in arithmetic mode, which the packed lanes name themselves."""
TAPS = 9
PIXELS = 7
"""That share a decoder: those of the arrays in the tables."""
KINDS = {"complement": 0, "twos": 1, "operator": 2, "rows": 3}


@dataclass(frozen=True)
class Lane:
    """A kind of lane.

    kind: "complement", "twos" (shifts, by how a negative term is taken), "operator", "rows"
    (multipliers). terms: shifters. bits: of a weight. packed: what carry chains can take lies in
    their input functions. reference: ALMs a lane in the study that this one repeats.
    """

    kind: str
    terms: int = 1
    bits: int = 4
    packed: bool = False
    reference: float | None = None

    @property
    def name(self) -> str:
        """Of its top module."""
        size = f"{self.terms}" if self.shifts else f"int{self.bits}"
        return f"{self.kind}_{size}{'_packed' if self.packed else ''}"

    @property
    def shifts(self) -> bool:
        """Whether it has no multiplier."""
        return self.kind in ("complement", "twos")

    @property
    def pixels(self) -> int:
        """Synthesised together: multipliers share nothing."""
        return PIXELS if self.shifts else 1


@dataclass(frozen=True)
class Window:
    """A depthwise window of the plan. late: one line has come since it was first used."""

    stride: int
    left: int
    late: bool = False


LANES = (
    Lane("complement"),
    Lane("complement", packed=True),
    Lane("complement", terms=2),
    Lane("twos", reference=40.8),
    Lane("twos", terms=2, reference=79.9),
    *(
        Lane(kind, bits=bits, packed=packed, reference=found if kind == "operator" else None)
        for bits, found in ((2, None), (3, 39.0), (4, 60.9), (5, 69.3), (6, 81.1), (7, None),
                            (8, 115.0))
        for kind, packed in (("operator", False), ("rows", False), ("rows", True))
    ),
)  # fmt: skip


def lane_modules() -> dict[str, str]:
    """All modules by file name, the cell for simulation among them."""
    return {path.name: read_text(path) for path in sorted(FOLDER.glob("*.sv"))}


def lane_top(lane: Lane, pixels: int) -> str:
    """A module of the lane's name around one unit."""
    parameters = (
        f".Kind({KINDS[lane.kind]}), .Terms({lane.terms}), .Bits({lane.bits}), "
        f".Packed(1'b{int(lane.packed)}), .Pixels({pixels})"
    )
    return f"""\
module {lane.name} (
  input  logic clk_i,
  input  logic first_i,
  input  logic [{9 * TAPS * pixels - 1}:0] x_i,
  input  logic [{8 * TAPS - 1}:0] code_i,
  output logic [{32 * pixels - 1}:0] acc_o
);
  lane_unit #(
    {parameters}
  ) u_unit (
    .clk_i(clk_i), .first_i(first_i), .x_i(x_i), .code_i(code_i), .acc_o(acc_o)
  );
endmodule
"""


def sum_top(packed: bool) -> str:
    """A module around one pixel's adders: what is left of lanes with multipliers in DSP blocks."""
    return f"""\
module {sum_name(packed)} (
  input  logic clk_i,
  input  logic first_i,
  input  logic [{16 * TAPS - 1}:0] product_i,
  output logic [31:0] acc_o
);
  lane_sum #(
    .Width(16), .Packed(1'b{int(packed)})
  ) u_sum (
    .clk_i(clk_i), .first_i(first_i), .product_i(product_i), .flip_i(9'd0), .acc_o(acc_o)
  );
endmodule
"""


def sum_name(packed: bool) -> str:
    """Of that module."""
    return "sum_packed" if packed else "sum"


def operand_text(name: str, windows: Sequence[Window], pixels: int, coded: bool) -> str:
    """Operands of one unit's lanes: a pointwise tap, or a tap of a depthwise window.

    tile_i: whether each of the window's three lines lies in the map. coded: one choice among the
    bytes and zero, by codes that all units share (ports of their own: 0 is zero, w + 1 window w,
    then the tap), and the sign behind it, as the kernel writes it. Otherwise every window with its
    sign and gate, then a choice of windows, then of modes.
    """
    lanes, places = TAPS * pixels, 4 if any(w.late for w in windows) else 3
    body: list[str] = []
    codes: dict[tuple[int, ...], str] = {}
    for lane in range(lanes):
        p, tap = divmod(lane, TAPS)
        columns = [(pixels - 1 if w.left else 0) + p * w.stride + tap % 3 for w in windows]
        lines = [column // pixels for column in columns]
        at = []
        for window, column in zip(windows, columns, strict=True):
            place = column // pixels + places - (4 if window.late else 3)
            at.append(8 * ((tap // 3 * places + place) * pixels + column % pixels))
        if coded:
            code = codes.setdefault(tuple(lines), f"code_{''.join(map(str, lines))}")
            found = f"{{8{{{code} == {len(at) + 1}}}}} & tap_i[{8 * lane} +: 8]"
            for w, place in enumerate(at):
                found = f"({code} == {w + 1} ? line_i[{place} +: 8] : {found})"
            body += [f"  wire [7:0] byte_{lane} = {found};"]
            found = f"{{byte_{lane}[7] & signed_i, byte_{lane}}}"
        else:
            found = _extended(f"tap_i[{8 * lane} +: 8]")
            for w, place in reversed(list(enumerate(at))):
                kept = f"({_extended(f'line_i[{place} +: 8]')} & {{9{{tile_i[{lines[w]}]}}}})"
                chosen = f"window_i == {w} && " if w < len(at) - 1 else ""
                found = f"({chosen}depthwise_i ? {kept} : {found})"
        body += [f"  assign x_o[{9 * lane} +: 9] = {found};"]
    width, code_width = len(windows).bit_length(), (len(windows) + 1).bit_length()
    ports = "".join(f"  input  logic [{code_width - 1}:0] {code},\n" for code in codes.values())
    return f"""\
module {name} (
  input  logic depthwise_i,
  input  logic [{width - 1}:0] window_i,
  input  logic signed_i,
  input  logic [2:0] tile_i,
  input  logic [{8 * lanes - 1}:0] tap_i,
  input  logic [{8 * 3 * places * pixels - 1}:0] line_i,
{ports}\
  output logic [{9 * lanes - 1}:0] x_o
);
  wire [8:0] sign = {{1'b0, signed_i, 7'b0}};
{chr(10).join(body)}
endmodule
"""


def _extended(byte: str) -> str:
    """As the kernel extends a byte: 128 or 0 is added modulo 2 and subtracted."""
    return f"(({{1'b0, {byte}}} ^ sign) - sign)"


def text_digest(more: Iterable[str] = ()) -> str:
    """SHA-256 of all text that figures belong to: modules, tops, and ``more``."""
    total = hashlib.sha256()
    tops = [*(lane_top(lane, lane.pixels) for lane in LANES), sum_top(False), sum_top(True)]
    for part in (*(p for item in lane_modules().items() for p in item), *tops, *more):
        total.update(f"{len(part)}\0{part}".encode())
    return total.hexdigest()
