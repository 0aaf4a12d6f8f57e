"""The blocks that area_blocks.py synthesises: which there are, and their SystemVerilog text.

A block is what one lane, result, unit, byte of a line or column has of something that the area
model counts. The modules lie in area_blocks/; a variant is one with other parameters.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from shiftforge.files import read_text

__all__ = ["BLOCKS", "Block", "block_module", "block_text", "blocks_digest"]

FOLDER = Path(__file__).with_name("area_blocks")


@dataclass(frozen=True)
class Block:
    """A variant of a module. each: what one of it stands for."""

    module: str
    each: str
    parameters: tuple[tuple[str, int], ...] = field(default=())

    @property
    def name(self) -> str:
        """Of its top module, without ``block_``."""
        return self.module + "".join(f"_{key.lower()}{value}" for key, value in self.parameters)


def _blocks(module: str, each: str, *parameters: dict[str, int]) -> list[Block]:
    return [Block(module, each, tuple(p.items())) for p in parameters or ({},)]


BLOCKS = (
    *_blocks("accumulate", "result", *({"Width": w} for w in (32, 28, 24, 20))),
    *_blocks("largest", "result", *({"Width": 24, "Bits": b} for b in (9, 12, 15))),
    *_blocks("decode", "unit and tap"),
    *_blocks("ring", "column", *({"Units": u} for u in (8, 16, 24, 32, 48))),
    *_blocks("window", "byte of a line", *({"Places": p} for p in (3, 4))),
    *_blocks("front", "column of a window",
             *({"Units": u, "Sources": s} for u, s in ((16, 1), (32, 1), (16, 2)))),
    *_blocks("round", "result", *(
        {"Width": 32, "Least": least, "RightBits": r, "LeftBits": left, "OneAdder": one}
        for one, least, left, bits in (
            (0, 4, 0, (0, 1, 2, 3, 4)), (0, 0, 0, (0, 1, 2, 3, 4)), (0, 0, 2, (3,)),
            (1, 4, 0, (0, 1, 2, 3, 4)), (1, 0, 0, (1, 2, 3, 4)),
        )
        for r in bits
    )),
    *_blocks("round", "result", *(
        {"Width": 24, "Least": 4, "RightBits": 3, "LeftBits": 0, "OneAdder": one} for one in (0, 1)
    )),
    *_blocks("code", "result", *(
        {"Width": w, "Least": 1, "RightBits": r, "Floor": floor}
        for w, r, floor in (*((w, r, 1) for w in (20, 26, 32) for r in (0, 1, 2, 3, 4)), (26, 4, 0))
    )),
    *_blocks("masks", "unit", *(
        {"Width": 26, "Least": 1, "RightBits": r} for r in (0, 1, 2, 3, 4)
    )),
    *_blocks("clamp", "result", *({"Width": w} for w in (32, 24, 16, 10))),
    *_blocks("add", "result", *({"Bits": b} for b in (0, 1, 2, 3))),
    *_blocks("pool_sum", "unit", *(
        {"Places": p, "Bits": b} for p, b in ((1, 12), (1, 14), (1, 16), (7, 14), (14, 14))
    )),
    *_blocks("pool_code", "unit at once", *(
        {"Bits": b, "Plus": plus, "Minus": minus, "Right": 19}
        for b, (plus, minus) in (
            *((b, digits) for b in (12, 14, 16) for digits in ((32768, 0), (43008, 209))),
            (14, (21504, 104)),
        )
    )),
    *_blocks("output", "unit at once", *(
        {"Width": 32, "Least": least, "RightBits": r}
        for least, bits in ((4, (0, 1, 2, 3, 4)), (0, (1, 2, 3, 4))) for r in bits
    )),
    *_blocks("select", "byte of a line"),
)  # fmt: skip


def block_module(module: str) -> str:
    """Text of a module as it lies in the folder."""
    return read_text(FOLDER / f"block_{module}.sv")


def block_text(block: Block, module: str | None = None) -> str:
    """A variant's text: the module under the variant's name, its parameters' defaults replaced.

    module: in place of the text in the folder.
    """
    text = block_module(block.module) if module is None else module
    text = re.sub(rf"module block_{block.module}\b", f"module block_{block.name}", text)
    for key, value in block.parameters:
        bit = re.search(rf"parameter bit {key}\b", text)
        shown = f"1'b{value}" if bit else str(value)
        text, found = re.subn(rf"(parameter \w+ {key} = )[^,\n]+", rf"\g<1>{shown}", text)
        if found != 1:
            raise ValueError(f"block_{block.module} has no parameter {key}")
    return text


def blocks_digest() -> str:
    """SHA-256 of all text that figures belong to."""
    total = hashlib.sha256()
    for block in BLOCKS:
        total.update(f"{block.name}\0{block_text(block)}\0".encode())
    return total.hexdigest()
