"""Windows of pools along one axis, in stages that the line buffer has.

The line buffer has windows of up to three places, at a step of 1 or 2, with at most one place
before the map and no more around it than lets every window keep a place of the map. The largest of
larger windows is the largest of the largest of smaller ones, which may overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Axis", "runs_natively", "stages"]


@dataclass(frozen=True)
class Axis:
    """``count`` windows of so many places, ``stride`` apart, on an axis of ``size`` places, with
    padding before and after. wide: columns, where the stride is 1 to 3."""

    size: int
    kernel: int
    stride: int
    before: int
    after: int
    wide: bool

    @property
    def count(self) -> int:
        """Windows."""
        return (self.size + self.before + self.after - self.kernel) // self.stride + 1

    @property
    def behind(self) -> int:
        """Places behind the map that windows have."""
        return max(0, (self.count - 1) * self.stride - self.before + self.kernel - self.size)

    @property
    def padded(self) -> bool:
        """Whether some window has places outside the map."""
        return self.before > 0 or self.behind > 0


def runs_natively(own: Axis) -> bool:
    """Whether one pass has these windows."""
    if own.kernel > 3 or own.before > 1 or own.before + own.behind >= max(own.kernel, 1):
        return False
    return not own.wide or own.stride <= 2 or (own.stride == 3 and not own.before)


def stages(own: Axis) -> tuple[Axis, ...] | None:
    """The same windows as the largest of smaller ones, a stage a pass; None where the map has to be
    padded first, and of strides that no stages have.

    Windows that hold all of the map are halved; odd ones with half of them as padding keep the
    map's size up to the last stage; others are without padding, and shrink it.
    """
    if runs_natively(own):
        return (own,)
    if own.count == 1 and own.before >= 0 and own.kernel - own.before >= own.size:
        return _halves(own.size, own.wide)
    if not own.padded:
        return _shrinking(own)
    half = own.kernel // 2
    if own.kernel % 2 and own.before == half and own.behind <= half and own.stride <= 2:
        same = Axis(own.size, 3, 1, 1, 1, own.wide)
        last = Axis(own.size, 3, own.stride, 1, max(0, own.behind - half + 1), own.wide)
        if last.count >= own.count and own.behind >= half - 1:
            return (*(same,) * (half - 1), last)
    return None


def _halves(size: int, wide: bool) -> tuple[Axis, ...]:
    found = []
    while size > 1:
        found.append(Axis(size, 2, 2, 0, size % 2, wide))
        size = -(-size // 2)
    return tuple(found)


def _shrinking(own: Axis) -> tuple[Axis, ...] | None:
    """Of windows inside the map."""
    found: list[Axis] = []
    size, kernel, stride = own.size, own.kernel, own.stride

    def step(places: int, apart: int) -> None:
        nonlocal size, kernel
        stage = Axis(size, places, apart, 0, 0, own.wide)
        found.append(stage)
        size, kernel = stage.count, (kernel - places) // apart + 1

    several = stride if own.wide else 1
    while kernel > (7 if several == 4 else 3):
        step(3, 1)
    if several == 4:
        if kernel > 3:
            step(2 + kernel % 2, 2)
        elif kernel > 1:
            step(kernel, 1)
            step(1, 2)
        else:
            step(1, 2)
        step(kernel, 2)
        return tuple(found)
    if several > 3:
        return None
    step(kernel, stride)
    return tuple(found)
