"""What a user may choose of the convolution accelerator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from shiftforge.errors import Problem
from shiftforge.generator.conv.depths import DEFAULT_DEPTHS, DEPTHS, Depths

__all__ = ["FRAMES", "PIXELS", "UNITS", "Options", "shape_problems"]

UNITS = (8, 16, 24, 32, 48)
PIXELS = tuple(range(1, 17))
FRAMES = tuple(range(1, 17))
USUAL = (16, 7)
"""Units and pixels where only the other is given."""


def shape_problems(units: int, pixels: int, frames: int = 1) -> list[Problem]:
    """What is wrong with an array's shape."""
    if units in UNITS and pixels in PIXELS and frames in FRAMES:
        return []
    what = f"array of {units} units x {pixels} pixels x {frames} frames is not supported"
    if frames == 1:
        what = f"array of {units} units x {pixels} pixels is not supported"
    return [Problem(what, "units 8, 16, 24, 32 or 48, pixels 1 to 16, frames 1 to 16")]


@dataclass(frozen=True)
class Options:
    """units, pixels: the array's shape; both None for a search over the board's area.

    frames: in flight: the array takes the same weights to so many images at once. None for 1, or
        for a search with a rate or limits.
    target_fps: frames a second (modelled) that the search has to reach with the fewest ALMs.
    max_alm, max_ram: of the board's ALMs and RAM blocks at most: a share up to 1, above it a
        number. min_sqnr: of the output in dB, of the choices of weights in the file.
    operand_depth, weight_depth, image_depth: words of the channels that run ahead, of ``DEPTHS``.
    non_blocking: the controller takes results as they come, not at iterations that the plan fixes.
    second_terms: f at most, of the weights of which the file holds a choice; None for the active
        ones.
    map_bytes: of all memories on chip that hold map data, at most; layers run in strips for it.
    """

    units: int | None = field(
        default=None,
        metadata={"min": 1, "help": "Convolution units; the search chooses else."},
    )
    pixels: int | None = field(
        default=None, metadata={"min": 1, "help": "Outputs a row at a time; as above."}
    )
    frames: int | None = field(
        default=None,
        metadata={
            "min": 1,
            "help": "Frames in flight: the same weights on so many at once; 1 unless a rate or a "
            "limit is asked for.",
        },
    )
    target_fps: float | None = field(
        default=None,
        metadata={
            "above": 0.0,
            "help": "Modelled frames a second to reach with the fewest ALMs.",
        },
    )
    max_alm: float | None = field(
        default=None,
        metadata={"above": 0.0, "help": "ALMs at most: a share of the board's (0.25) or a number."},
    )
    max_ram: float | None = field(
        default=None, metadata={"above": 0.0, "help": "RAM blocks at most, likewise."}
    )
    min_sqnr: float | None = field(
        default=None,
        metadata={
            "above": 0.0,
            "help": "dB at least, of the weights of which the file holds a choice.",
            "commands": ("generate", "explore"),
        },
    )
    non_blocking: bool = field(
        default=False,
        metadata={"help": "The controller takes results as they come; less can be proved of it."},
    )

    second_terms: float | None = field(
        default=None,
        metadata={
            "min": 0.0,
            "help": "f at most, where the file holds weights of several.",
            "commands": ("generate",),
        },
    )

    operand_depth: int | None = field(
        default=None,
        metadata={"min": 1, "help": "Lines that the array's operands wait in, 8 to 256."},
    )
    weight_depth: int | None = field(
        default=None, metadata={"min": 1, "help": "Weight words that are fetched ahead, likewise."}
    )
    image_depth: int | None = field(
        default=None, metadata={"min": 1, "help": "Lines of the image, likewise."}
    )

    map_bytes: int | None = field(
        default=None,
        metadata={
            "min": 1,
            "help": "Bytes on chip for map data, at most: layers run in strips of rows for it.",
        },
    )

    @property
    def given_depths(self) -> dict[str, int]:
        """Of the channels, by name, where they are given."""
        own = {"operand": self.operand_depth, "weight": self.weight_depth,
               "image": self.image_depth}  # fmt: skip
        return {name: depth for name, depth in own.items() if depth is not None}

    @property
    def depths(self) -> Depths:
        """Of the channels; the usual ones where none are given."""
        return replace(DEFAULT_DEPTHS, **self.given_depths)

    @property
    def searches_all(self) -> bool:
        """Whether a rate or a limit is asked for, so that everything that is not given is searched;
        else only units and pixels are."""
        return not (self.target_fps is None and self.max_alm is None and self.max_ram is None)

    @property
    def shape(self) -> tuple[int, int] | None:
        """(units, pixels) of the array that is fixed, None for a search."""
        if self.units is None and self.pixels is None:
            return None
        return self.units or USUAL[0], self.pixels or USUAL[1]

    def problems(self) -> list[Problem]:
        """What no network and no board make possible."""
        found = shape_problems(*(self.shape or USUAL), self.frames or 1)
        if self.shape is not None and self.target_fps is not None:
            what = "--target-fps searches the array; --units and --pixels fix it"
            found.append(Problem(what, "leave one of them out"))
        for name, depth in self.given_depths.items():
            if depth not in DEPTHS:
                told = ", ".join(map(str, DEPTHS))
                found.append(Problem(f"--{name}-depth is {depth}", f"use one of {told}"))
        return found
