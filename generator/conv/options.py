"""What a user may choose of the convolution accelerator."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """units, pixels: the array's shape; both None for a search over the board's area.

    target_fps: frames a second (modelled) that the search has to reach with the fewest lanes.
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
