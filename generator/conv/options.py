"""What a user may choose of the convolution accelerator."""

from __future__ import annotations

from dataclasses import dataclass, field

from shiftforge.errors import Problem

__all__ = ["PIXELS", "UNITS", "Options", "shape_problems"]

UNITS = (16, 32)
PIXELS = tuple(range(1, 17))


def shape_problems(units: int, pixels: int) -> list[Problem]:
    """What is wrong with an array's shape."""
    if units in UNITS and pixels in PIXELS:
        return []
    what = f"array of {units} units x {pixels} pixels is not supported"
    return [Problem(what, "units 16 or 32, pixels 1 to 16")]


@dataclass(frozen=True)
class Options:
    """units, pixels: the array's shape; both None for a search over the board's area.

    target_fps: frames a second (modelled) that the search has to reach with the fewest lanes.
    non_blocking: the controller takes results as they come, not at iterations that the plan fixes.
    second_terms: f at most, of the weights of which the file holds a choice; None for the active
        ones.
    """

    units: int | None = field(
        default=None,
        metadata={"min": 1, "help": "Convolution units; the search chooses else."},
    )
    pixels: int | None = field(
        default=None, metadata={"min": 1, "help": "Outputs a row at a time; as above."}
    )
    target_fps: float | None = field(
        default=None,
        metadata={
            "above": 0.0,
            "help": "Modelled frames a second to reach with the fewest lanes.",
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

    @property
    def shape(self) -> tuple[int, int] | None:
        """(units, pixels) of the array that is fixed, None for a search."""
        if self.units is None and self.pixels is None:
            return None
        return self.units or UNITS[0], self.pixels or 7

    def problems(self) -> list[Problem]:
        """What no network and no board make possible."""
        if self.shape is None:
            return []
        found = shape_problems(*self.shape)
        if self.target_fps is not None:
            what = "--target-fps searches the array; --units and --pixels fix it"
            found.append(Problem(what, "leave one of them out"))
        return found
