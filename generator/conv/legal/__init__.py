"""A network as the array can run it: the same codes, made by passes that there are.

``legalise`` rewrites the integer graph into one whose nodes are each a pass or what is fused with
one. Every tensor of the network keeps its name and its codes, and further tensors come between;
the reference run on both proves it (``tests/generator/conv/legal``).
"""

from __future__ import annotations

from shiftforge.generator.conv.legal.copies import Copies
from shiftforge.generator.conv.legal.legalise import Legal, legalise

__all__ = ["Copies", "Legal", "legalise"]
