"""What a compiler's report says, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["AocArea", "AocLoop", "AocReport", "Areas", "Form", "Kind", "Place", "shown"]

_LONGEST = 400


class Form(Enum):
    """How a report is written: its value is the letter and the compilers that write it."""

    A = "A (16.x)"
    B = "B (17.0 to 19.4)"
    C = "C (20.x and later)"


class Kind(Enum):
    """What became of a loop; only a ``ROLLED`` one has an initiation interval."""

    ROLLED = "rolled"
    UNROLLED = "fully unrolled"
    COALESCED = "coalesced"
    FUSED = "fused"


@dataclass(frozen=True)
class Place:
    """A line of the source; line counts from 1, 0 where the report does not say."""

    file: str
    line: int


@dataclass(frozen=True)
class AocLoop:
    """One row of the report's table of loops.

    kernel: "" where the report does not tell. name: the compiler's block, such as "conv.B2".
    places: of the loop itself first, then of branches back to its head; empty without debug
    information. depth: 0 for a loop in no other. pipelined: None where that does not apply. ii: in
    cycles, None where there is none; about: "" (as it is), "~" (but for stalls) or ">=" (a rolled
    loop inside). latency: in cycles, of the loop's first block.
    innermost: whether it has no rolled loop inside.
    """

    kernel: str
    name: str
    kind: Kind
    depth: int
    places: tuple[Place, ...] = ()
    pipelined: bool | None = None
    ii: int | None = None
    about: str = ""
    reason: str = ""
    latency: int | None = None
    innermost: bool = True

    @property
    def title(self) -> str:
        """Its place, or its block where the report has no places."""
        if self.places:
            return f"{self.places[0].file}:{self.places[0].line}"
        return self.name

    @property
    def interval(self) -> str:
        """The initiation interval as the report writes it."""
        return "n/a" if self.ii is None else f"{self.about}{self.ii}"


@dataclass(frozen=True)
class AocArea:
    """Estimated resources of a kernel, or of the whole system; the compiler gives fractions."""

    name: str
    aluts: float
    ffs: float
    rams: float
    dsps: float


@dataclass(frozen=True)
class Areas:
    """kernels: by kernel; channels: all of them together; total: of the whole device, with the
    board's interface and the interconnect."""

    kernels: tuple[AocArea, ...] = ()
    channels: AocArea | None = None
    total: AocArea | None = None


@dataclass(frozen=True)
class AocReport:
    """One report. version, device: "" where it does not say.

    kernels: in the order of the table of loops, then of areas. load_latency: cycles of the slowest
    load from global memory, by kernel.
    """

    form: Form
    version: str = ""
    device: str = ""
    kernels: tuple[str, ...] = ()
    loops: tuple[AocLoop, ...] = ()
    area: Areas = field(default_factory=Areas)
    load_latency: dict[str, int] = field(default_factory=dict)


def shown(text: str) -> str:
    """A stranger's text for a terminal: printable, in one line, of bounded length."""
    line = " ".join(text[: 2 * _LONGEST].split())
    plain = "".join(c if c.isprintable() else "?" for c in line)
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 3] + "..."
