"""Sizes of OpenCL C types, to tell how wide a channel word is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shiftforge.generator.rules.constants import evaluate
from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.statements import closing, split
from shiftforge.generator.rules.syntax import Attribute

__all__ = ["Layouts"]

_SCALARS = {
    "char": 1,
    "uchar": 1,
    "short": 2,
    "ushort": 2,
    "int": 4,
    "uint": 4,
    "long": 8,
    "ulong": 8,
    "half": 2,
    "float": 4,
    "double": 8,
    "bool": 1,
    "size_t": 8,
    "unsigned": 4,
    "signed": 4,
}
# A vector of three takes the room of four (OpenCL 1.2, section 6.1.5).
_WIDTHS = {"": 1, "2": 2, "3": 4, "4": 4, "8": 8, "16": 16}


class Layouts:
    """Sizes and alignments of the types met so far, from the declarations in file order."""

    def __init__(self, constants: Mapping[str, int]) -> None:
        self._constants = constants
        self.type_bytes: dict[str, int] = {
            name + width: size * count
            for name, size in _SCALARS.items()
            for width, count in _WIDTHS.items()
        }
        self.type_alignment: dict[str, int] = dict(self.type_bytes)

    def learn(self, tokens: Sequence[Token], attributes: Sequence[Attribute] = ()) -> None:
        """Take in ``typedef ...`` and ``struct name {...}``; other declarations change nothing.

        attributes: what ``packed`` and ``aligned(N)`` of the declaration say is followed.
        """
        texts = [t.text for t in tokens]
        keyword = next((i for i in (0, 1) if texts[i : i + 1] in (["struct"], ["union"])), None)
        names = []
        if texts[0] == "typedef" and texts[-1] not in ("}", ")"):
            names.append(texts[-1])
        if keyword is not None and "{" in texts:
            opening = texts.index("{")
            if opening == keyword + 2:
                names.append(texts[keyword + 1])
            members = tokens[opening + 1 : closing(tokens, opening)]
            packed = any(a.name == "packed" for a in attributes)
            found = self._aggregate(members, texts[keyword] == "union", packed)
        elif texts[0] == "typedef" and "*" not in texts:
            found = self._declared(tokens[1:-1], tokens[-1:])
        else:
            return
        if found is not None:
            found = self._aligned(found, attributes)
            for name in names:
                self.type_bytes[name], self.type_alignment[name] = found

    def _aligned(self, found: tuple[int, int], attributes: Sequence[Attribute]) -> tuple[int, int]:
        """Size and alignment with what an ``aligned(N)`` adds."""
        size, alignment = found
        for attribute in attributes:
            if attribute.name == "aligned" and attribute.arguments:
                wanted = evaluate(attribute.arguments[0], self._constants)
                alignment = max(alignment, wanted or 0)
        return -(-size // alignment) * alignment, alignment

    def _aggregate(
        self, members: Sequence[Token], union: bool, packed: bool
    ) -> tuple[int, int] | None:
        size, widest = 0, 1
        for member in split(members, ";"):
            if not member:
                continue
            first = next((i for i, t in enumerate(member) if t.text in ("[", ",")), len(member))
            type_tokens = member[: first - 1]
            for declarator in split(member[first - 1 :]):
                found = self._declared(type_tokens, declarator)
                if found is None:
                    return None
                width, alignment = found[0], 1 if packed else found[1]
                widest = max(widest, alignment)
                start = 0 if union else -(-size // alignment) * alignment
                size = max(size, start + width)
        return -(-size // widest) * widest, widest

    def _declared(
        self, type_tokens: Sequence[Token], declarator: Sequence[Token]
    ) -> tuple[int, int] | None:
        known = [t.text for t in type_tokens if t.text in self.type_bytes]
        if not known:
            return None
        size, alignment = self.type_bytes[known[-1]], self.type_alignment[known[-1]]
        at = 1
        while at < len(declarator) and declarator[at].text == "[":
            end = closing(declarator, at)
            count = evaluate(declarator[at + 1 : end], self._constants)
            if count is None:
                return None
            size *= count
            at = end + 1
        return size, alignment
