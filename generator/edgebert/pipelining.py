"""What the EdgeBERT unit's kernels break of the pipelining rules, why, and what it costs.

The unit's place is RTL; its kernels are the same program for OpenCL devices. They step through a
command with ``while`` loops, and one command ends before the next one begins. What that costs on a
board is listed here, in cycles, and added to nothing: the printed rates are those of the RTL.
The list is checked both ways: text that breaks a rule beyond it is refused, and so is an entry that
no longer occurs.

Latencies are assumptions (see docs/ASSUMPTIONS.md): 70 cycles for a loop on channels and on-chip
memory with its re-entry, 210 for one that loads from global memory, 80 and 10 of them after it.
"""

from __future__ import annotations

from collections.abc import Iterator

from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.rules import RuleException

__all__ = ["unit_exceptions"]

_LOOP, _LOAD = 70, 210
_UPDATE = 63  # the loop table's II of the special functions
_BEATS = 3  # of 64 bytes, for a command of 188 bytes


def unit_exceptions(design: UnitDesign) -> tuple[RuleException, ...]:
    """The exceptions of a unit's text, by its parts."""
    found = [*_commands(design), *_fetch(), *_vmac(), *_store(design)]
    if design.sfu is not None:
        found += _sfu()
    return tuple(found)


def _commands(design: UnitDesign) -> Iterator[RuleException]:
    """Each kernel reads the next command and steps until it is done."""
    kernels = {"fetch_a": _LOAD, "fetch_b": _LOAD, "vmac": _LOOP, "post": _LOAD, "store": _LOOP}
    if design.sfu is not None:
        kernels["sfu"] = _LOAD
    for kernel, drain in kernels.items():
        yield RuleException(
            "loop-trip",
            kernel,
            kernel,
            "the step that ends a command is known when it is made: the pipeline drains after it",
            drain,
            "command",
        )
        yield RuleException(
            "global-beat",
            kernel,
            "program",
            "a command is 47 words, read once: one load of several beats",
            _BEATS,
            "command",
        )


def _fetch() -> Iterator[RuleException]:
    for kernel, channel in (("fetch_a", "ch_next_a"), ("fetch_b", "ch_next_b")):
        yield RuleException(
            "exit-channel",
            kernel,
            channel,
            "store sends the number of the next command when the last one's results lie in memory; "
            "the loop over commands is not pipelined, and its drain stands under loop-trip",
            0,
            "command",
        )
        for memory in ("memory.mask", "memory.bank"):
            yield RuleException(
                "memory-promise",
                kernel,
                memory,
                "two halves, of which one is decoded while the other is loaded; what is loaded "
                "feeds no store, so that the loop starts an iteration a clock without a promise",
                0,
                "vector",
            )


def _vmac() -> Iterator[RuleException]:
    yield RuleException(
        "loop-nested",
        "vmac",
        "vmac_step",
        "a K-step decodes B once and then walks its n rows: the loop over rows drains each pass",
        _LOOP,
        "pass of a K-step",
    )
    yield RuleException(
        "memory-store-site",
        "vmac",
        "memory.next",
        "a column of B arrives at once and all of it is decoded at once: n x n registers",
        0,
        "K-step",
    )
    yield RuleException(
        "memory-load-site",
        "vmac",
        "memory.acc",
        "a transposed tile leaves by columns: n banks, one a row",
        0,
        "row",
    )


def _store(design: UnitDesign) -> Iterator[RuleException]:
    channels = ["ch_code"] if design.sfu is None else ["ch_code", "ch_result"]
    for channel in channels:
        yield RuleException(
            "exit-channel",
            "store",
            channel,
            "how many beats the last strip has depends on its zeros; the drain stands under "
            "loop-trip",
            0,
            "command",
        )
    yield RuleException(
        "memory-promise",
        "store",
        "memory.bank",
        "two halves, of which one leaves while the other is filled; what is loaded feeds no store",
        0,
        "vector",
    )


def _sfu() -> Iterator[RuleException]:
    yield RuleException(
        "memory-promise",
        "sfu",
        "state.total",
        "a row's sum is updated n vectors later, or by the next vector where one row alone is held "
        "(entropy): without a promise each vector waits for the one before",
        _UPDATE - 1,
        "vector",
    )
    for subject in (
        *("memory.aux", "memory.mask"),
        *(f"state.{name}" for name in ("block", "low", "mean", "right", "scale", "top")),
    ):
        yield RuleException(
            "memory-promise",
            "sfu",
            subject,
            "what one phase of a row tile stores the next one loads; waiting stands under "
            "state.total",
            0,
            "vector",
        )
    yield RuleException(
        "channel-site",
        "sfu",
        "ch_result",
        "GELU sends from the phase that takes, the others from the phase that gives: one of two "
        "branches; the compiler arbitrates",
        0,
        "vector",
    )
    yield RuleException(
        "global-beat",
        "sfu",
        "tables",
        "n entries of the span mask, or n weights and n biases of layer norm, a step: a load that "
        "is not aligned",
        1,
        "K-step of a row tile",
    )
    for rule, subject in (
        ("memory-load-site", "memory.aux"),
        ("memory-load-site", "memory.mask"),
        ("memory-load-site", "state.scale"),
        ("memory-load-site", "state.top"),
        ("memory-load-site", "state.total"),
        ("memory-load-site", "tables"),
        ("memory-store-site", "memory.aux"),
        ("memory-store-site", "memory.mask"),
        ("memory-store-site", "state.total"),
    ):
        yield RuleException(
            rule,
            "sfu",
            subject,
            "each phase of a row tile has accesses of its own: ports, copies or arbitration; "
            "phases exclude each other, so that none waits",
            0,
            "vector",
        )
