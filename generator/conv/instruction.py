"""The accelerator's instruction: one a layer, a row of 32-bit integers, described here once."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

__all__ = ["Instruction", "instruction_fields"]


def _word(comment: str) -> int:
    # The declared default only carries the comment; every field is given by the planner.
    return field(default=0, metadata={"comment": comment})


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What every stage needs to know of a layer. The C struct is generated from these fields."""

    mode: int = _word("0 pointwise, 1 depthwise, 2 standard")
    direct: int = _word("results leave as 32-bit integers and are not stored")
    exported: int = _word("stored result lines also go to global memory")
    in_base: int = _word("first line of the map that is read")
    in_groups: int = _word("its groups of SF_UNITS channels")
    in_channels: int = _word("its channels")
    in_rows: int = _word("its rows")
    in_tiles: int = _word("its lines a row")
    in_signed: int = _word("its codes are int8, not uint8")
    out_base: int = _word("first line of the map that is stored")
    out_groups: int = _word("groups of output channels")
    out_rows: int = _word("output rows")
    out_tiles: int = _word("output tiles a row")
    out_columns: int = _word("output columns; pixels past them are stored as zero")
    result_lines: int = _word("lines that come back to the controller")
    operand_lines: int = _word("depthwise: lines sent, up to the end of the last window")
    stride: int = _word("1 or 2")
    pad_top: int = _word("zero rows above, 0 or 1")
    pad_left: int = _word("zero columns to the left, 0 or 1")
    kernel_size: int = _word("reserved: kernel size of a pass (1 or 3)")
    groups: int = _word("reserved: passes of a grouped convolution (1)")
    dilation: int = _word("reserved: distance of taps (1)")
    weight_words: int = _word("weight words of a group of output channels")
    low: int = _word("activation: smallest code")
    high: int = _word("activation: largest code")
    residual: int = _word("a residual addition follows")
    skip_base: int = _word("first line of the map that is added")
    skip_signed: int = _word("its codes are int8")
    skip_left: int = _word("left shift of its codes to the finer grid")
    add_signed: int = _word("the convolution's codes are int8")
    add_left: int = _word("left shift of the convolution's codes")
    sum_left: int = _word("left shift of the sum to the output grid")
    sum_right: int = _word("right shift of the sum, rounded half to even")
    add_low: int = _word("smallest code of the sum")
    add_high: int = _word("largest code of the sum")
    pool: int = _word("a global pool follows")
    pool_signed: int = _word("its input codes are int8")
    pool_plus: int = _word("bits added of the reciprocal in signed digits")
    pool_minus: int = _word("bits subtracted of it")
    pool_right: int = _word("right shift of the product, rounded half to even")
    pool_low: int = _word("smallest code of the pooled map")
    pool_high: int = _word("largest code of the pooled map")
    trace_base: int = _word("first line of the layer in a frame's trace")

    def words(self) -> tuple[int, ...]:
        """The instruction as integers, in field order."""
        return tuple(int(getattr(self, f.name)) for f in fields(self))


def instruction_fields() -> tuple[tuple[str, str], ...]:
    """(name, comment) of every word, in order: the C struct's members."""
    return tuple((f.name, str(f.metadata["comment"])) for f in fields(Instruction))
