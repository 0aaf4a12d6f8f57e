"""Names of a MobileNetV2's tensors in torchvision, in timm, and in torchvision's forerunners.

torchvision's (the same in all its releases) are the ones that the network here is built by. In the
first published ones, an inverted residual is one flat sequence of convolution, normalisation and
ReLU6, and the last convolution and the classifier may stand beside ``features``.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

__all__ = ["FIRST_NAMES", "Spelling", "spelling_of"]

FIRST_NAMES = ("features.0.0.weight", "conv_stem.weight")
"""A tensor that every such network has, as torchvision and as timm call it."""
_STAGES = (1, 2, 3, 4, 3, 3, 1)
_PLACES = [(stage, block) for stage, count in enumerate(_STAGES) for block in range(count)]
_BLOCK = re.compile(r"features\.(\d+)\.conv\.(\d\.\d|\d)\.(\w+)")
_TIMM_FIRST = {"0.0": "conv_dw", "0.1": "bn1", "1": "conv_pw", "2": "bn2"}
_TIMM = {
    "0.0": "conv_pw", "0.1": "bn1", "1.0": "conv_dw", "1.1": "bn2", "2": "conv_pwl", "3": "bn3",
}  # fmt: skip
_FLAT_FIRST = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}
_FLAT = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}
_TIMM_ENDS = {
    "features.0.0": "conv_stem", "features.0.1": "bn1", "features.18.0": "conv_head",
    "features.18.1": "bn2", "classifier.1": "classifier",
}  # fmt: skip
_FLAT_ENDS = {"features.18.0": "conv.0", "features.18.1": "conv.1", "classifier.1": "classifier"}


@dataclass(frozen=True)
class Spelling:
    """kind: "torchvision", "timm" or "flat". ends: names of modules outside the blocks."""

    kind: str
    ends: tuple[tuple[str, str], ...] = ()

    def __call__(self, name: str) -> str:
        """What this spelling calls torchvision's name."""
        found = _BLOCK.fullmatch(name)
        if self.kind == "torchvision" or found is None:
            module, _, last = name.rpartition(".")
            return f"{dict(self.ends).get(module, module)}.{last}"
        number, part, last = int(found[1]), found[2], found[3]
        if self.kind == "flat":
            table = _FLAT_FIRST if number == 1 else _FLAT
            return f"features.{number}.conv.{table[part]}.{last}"
        stage, block = _PLACES[number - 1]
        table = _TIMM_FIRST if number == 1 else _TIMM
        return f"blocks.{stage}.{block}.{table[part]}.{last}"


def spelling_of(names: Container[str]) -> Spelling:
    """How the tensors of a file are called."""
    if FIRST_NAMES[1] in names:
        return Spelling("timm", tuple(_TIMM_ENDS.items()))
    ends = tuple(
        (usual, other)
        for usual, other in _FLAT_ENDS.items()
        if f"{usual}.weight" not in names and f"{other}.weight" in names
    )
    flat = "features.1.conv.0.weight" in names
    return Spelling("flat" if flat else "torchvision", ends)
