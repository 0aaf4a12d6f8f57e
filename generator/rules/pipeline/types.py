"""Types of variables: element, dimensions, address space; members of structs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shiftforge.generator.rules.constants import evaluate
from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.statements import closing, split, take_attributes
from shiftforge.generator.rules.syntax import Attribute, Program

__all__ = ["CType", "Declared", "Types"]

_SCALAR = re.compile(
    r"(bool|char|uchar|short|ushort|int|uint|long|ulong|half|float|double|unsigned|signed|void"
    r"|size_t|ptrdiff_t|u?int(8|16|32|64)_t)(2|3|4|8|16)?\Z"
)
_QUALIFIERS = frozenset(
    re.findall(
        r"\w+",
        "const volatile restrict __restrict __restrict__ static register inline extern __constant "
        "constant __private private __local local __global global __generic pipe",
    )
)
_SPACES = {"local": "local", "global": "global", "constant": "constant"}
_REAL = re.compile(r"(half|float|double)\d*\Z")
_MOST_DEPTH = 20


@dataclass(frozen=True)
class CType:
    """A type. base: its name without qualifiers; dims: array dimensions, 0 where not known.

    space: "private", "local", "global" or "constant", of the object or of what a pointer points to.
    """

    base: str
    dims: tuple[int, ...] = ()
    pointer: bool = False
    space: str = "private"
    qualifiers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Declared:
    """One declarator with its initialiser's tokens (None: none)."""

    name: str
    type: CType
    init: tuple[Token, ...] | None
    attributes: tuple[Attribute, ...]
    line: int


class Types:
    """What names are types, and what structs hold."""

    def __init__(self, program: Program) -> None:
        self._constants: Mapping[str, int] = program.constants
        self._bytes = program.type_bytes
        self._alignment = program.type_alignment
        self._typedefs: dict[str, CType] = {}
        self._structs: dict[str, dict[str, CType]] = {}
        for declaration in program.declarations:
            self._learn(declaration.tokens)

    def is_type(self, word: str) -> bool:
        """Whether a word can begin a type."""
        return (
            word in _QUALIFIERS
            or word in ("struct", "union", "enum")
            or _SCALAR.match(word) is not None
            or word in self._typedefs
        )

    def resolve(self, type_: CType) -> CType:
        """The type with typedefs followed; a struct's base is its key among the structs."""
        for _ in range(_MOST_DEPTH):
            known = self._typedefs.get(type_.base)
            if known is None or known.base == type_.base:
                break
            type_ = replace(
                type_,
                base=known.base,
                dims=type_.dims + known.dims,
                pointer=type_.pointer or known.pointer,
            )
        return type_

    def member(self, type_: CType, name: str) -> CType | None:
        """The type of a struct's member; None for a vector's part or an unknown struct."""
        members = self._structs.get(self.resolve(type_).base)
        return None if members is None else members.get(name)

    def is_struct(self, type_: CType) -> bool:
        """Whether it has members that are known."""
        return self.resolve(type_).base in self._structs

    def is_real(self, type_: CType) -> bool:
        """Whether its elements are floating-point numbers."""
        return _REAL.match(self.resolve(type_).base) is not None

    def size(self, type_: CType) -> int | None:
        """Bytes of one element, if known."""
        if type_.pointer:
            return 8
        return self._bytes.get(type_.base, self._bytes.get(self.resolve(type_).base))

    def alignment(self, type_: CType) -> int | None:
        """Alignment of one element in bytes, if known."""
        return self._alignment.get(type_.base, self._alignment.get(self.resolve(type_).base))

    def declaration(self, tokens: Sequence[Token]) -> list[Declared] | None:
        """The declarators of a statement that declares variables; None for any other."""
        rest, attributes = take_attributes(tokens)
        at, words = self._head(rest)
        if at is None:
            return None
        found = []
        for part in split(rest[at:]):
            declared = self._declarator(part, words, attributes)
            if declared is None:
                return None
            found.append(declared)
        return found

    def words(self, words: Sequence[str]) -> CType:
        """The type that a cast's words name."""
        return _typed(list(words))

    def _head(self, rest: Sequence[Token]) -> tuple[int | None, list[str]]:
        """Where the declarators begin and the type's words; None if this declares nothing."""
        at = 0
        words: list[str] = []
        named = False
        while at < len(rest) and rest[at].kind == "name":
            text = rest[at].text
            if text in ("struct", "union", "enum") and at + 1 < len(rest):
                words.append(rest[at + 1].text)
                at, named = at + 2, True
                if at < len(rest) and rest[at].text == "{":
                    at = closing(rest, at) + 1
            elif text in _QUALIFIERS or _SCALAR.match(text):
                named = named or text not in _QUALIFIERS
                words.append(text)
                at += 1
            elif not named and text in self._typedefs:
                words.append(text)
                at, named = at + 1, True
            else:
                break
        if not words or (not named and not words):
            return self._unknown(rest)
        if at >= len(rest) or (rest[at].kind != "name" and rest[at].text != "*"):
            return None, []
        return at, words

    def _unknown(self, rest: Sequence[Token]) -> tuple[int | None, list[str]]:
        """``type name`` and ``type *name`` with a type that is declared elsewhere."""
        texts = [t.text for t in rest]
        if len(rest) > 1 and rest[0].kind == "name" and texts[0] not in ("return", "goto"):
            star = 1 + (texts[1] == "*")
            if star < len(rest) and rest[star].kind == "name":
                after = texts[star + 1] if star + 1 < len(rest) else ";"
                if star == 1 or after in (";", "="):
                    return 1, [texts[0]]
        return None, []

    def _declarator(
        self, part: Sequence[Token], words: list[str], attributes: Sequence[Attribute]
    ) -> Declared | None:
        at = 0
        pointer = False
        own = list(words)
        while at < len(part) and (part[at].text == "*" or part[at].text in _QUALIFIERS):
            pointer = pointer or part[at].text == "*"
            own.append(part[at].text)
            at += 1
        if at >= len(part) or part[at].kind != "name":
            return None
        name = part[at]
        at += 1
        dims = []
        while at < len(part) and part[at].text == "[":
            end = closing(part, at)
            dims.append(evaluate(part[at + 1 : end], self._constants) or 0)
            at = end + 1
        init = None
        if at < len(part):
            if part[at].text != "=":
                return None
            init = tuple(part[at + 1 :])
        type_ = replace(_typed(own), dims=tuple(dims), pointer=pointer)
        return Declared(name.text, type_, init, tuple(attributes), name.line)

    def _learn(self, tokens: Sequence[Token]) -> None:
        texts = [t.text for t in tokens]
        typedef = texts[0] == "typedef"
        keyword = next((i for i, t in enumerate(texts[:3]) if t in ("struct", "union")), None)
        if keyword is not None and "{" in texts:
            opening = texts.index("{")
            end = closing(tokens, opening)
            tag = texts[keyword + 1] if opening > keyword + 1 else ""
            names = [t for t in texts[end + 1 :] if t.isidentifier()] if typedef else []
            members: dict[str, CType] = {}
            for member in split(tokens[opening + 1 : end], ";"):
                for declared in (self.declaration(member) or []) if member else []:
                    members[declared.name] = declared.type
            for name in (tag, *names):
                if name:
                    self._structs[name] = members
                    self._typedefs.setdefault(name, CType(name))
        elif typedef and texts[-1].isidentifier():
            declared_ = self.declaration(tokens[1:])
            for item in declared_ or []:
                self._typedefs[item.name] = item.type


def _typed(words: list[str]) -> CType:
    qualifiers = frozenset(w.strip("_") for w in words if w in _QUALIFIERS)
    space = next((_SPACES[q] for q in sorted(qualifiers) if q in _SPACES), "private")
    names = [w for w in words if w not in _QUALIFIERS and w != "*"]
    scalars = [n for n in names if n not in ("unsigned", "signed")]
    base = scalars[0] if scalars else "int"
    return CType(base, pointer="*" in words, space=space, qualifiers=qualifiers)
