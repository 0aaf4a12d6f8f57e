"""The parts of a program that the rules speak about, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from shiftforge.generator.rules.lexer import Comment, Token

__all__ = [
    "Attribute",
    "Block",
    "Channel",
    "Declaration",
    "Function",
    "Loop",
    "Parameter",
    "Plain",
    "Program",
    "Statement",
]

Tokens: TypeAlias = tuple[Token, ...]


@dataclass(frozen=True)
class Attribute:
    """One name of an ``__attribute__((...))`` with the tokens of its arguments (None: no list)."""

    name: str
    arguments: tuple[Tokens, ...] | None
    line: int


@dataclass(frozen=True)
class Plain:
    """A statement without statements inside, or the head of an ``if`` or ``switch``."""

    tokens: Tokens
    pragmas: Tokens = ()


@dataclass(frozen=True)
class Block:
    """Statements in order; of an ``if`` or ``switch`` the head, then what it guards.

    keyword: "if" or "switch", or "" for plain braces.
    """

    children: tuple[Statement, ...]
    keyword: str = ""


@dataclass(frozen=True)
class Loop:
    """``keyword``: for, while or do. ``head``: the parts of the brackets (3 for a ``for``)."""

    keyword: str
    head: tuple[Tokens, ...]
    body: Statement
    pragmas: Tokens
    line: int


Statement: TypeAlias = Plain | Block | Loop


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function."""

    name: str
    tokens: Tokens
    line: int

    @property
    def pointer(self) -> bool:
        """Whether it is a pointer (an array parameter is one)."""
        return any(t.text in ("*", "[") for t in self.tokens)


@dataclass(frozen=True)
class Function:
    """A function with its body; a kernel if ``kernel``."""

    name: str
    kernel: bool
    attributes: tuple[Attribute, ...]
    parameters: tuple[Parameter, ...]
    tokens: Tokens  # the whole definition
    body: Block
    line: int

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name, if the function carries it."""
        return next((a for a in self.attributes if a.name == name), None)


@dataclass(frozen=True)
class Channel:
    """A channel, or an array of them, declared at file scope.

    sizes: tokens of each array dimension; () for a single channel.
    """

    name: str
    type_tokens: Tokens
    sizes: tuple[Tokens, ...]
    pointer: bool
    attributes: tuple[Attribute, ...]
    line: int

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name, if the channel carries it."""
        return next((a for a in self.attributes if a.name == name), None)


@dataclass(frozen=True)
class Declaration:
    """Anything else at file scope."""

    tokens: Tokens
    line: int


@dataclass(frozen=True)
class Program:
    """A preprocessed and parsed file.

    constants: file-scope integer constants (enumerators, ``__constant``/``const`` integers).
    type_bytes, type_alignment: of each known type, in bytes.
    variable_attributes: attributes inside functions and on file-scope data.
    """

    functions: tuple[Function, ...]
    channels: tuple[Channel, ...]
    declarations: tuple[Declaration, ...]
    pragmas: Tokens
    comments: tuple[Comment, ...]
    constants: Mapping[str, int]
    type_bytes: Mapping[str, int]
    type_alignment: Mapping[str, int]
    variable_attributes: tuple[tuple[str, Attribute], ...]

    @property
    def kernels(self) -> tuple[Function, ...]:
        """The functions that are kernels, in order."""
        return tuple(f for f in self.functions if f.kernel)
