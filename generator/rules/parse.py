"""File scope: channels, functions, types and constants of a preprocessed program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shiftforge.generator.rules.constants import INTEGER_TYPES, evaluate
from shiftforge.generator.rules.layout import Layouts
from shiftforge.generator.rules.lexer import Comment, Token
from shiftforge.generator.rules.statements import (
    ParseError,
    closing,
    parse_body,
    split,
    take_attributes,
)
from shiftforge.generator.rules.syntax import (
    Attribute,
    Channel,
    Declaration,
    Function,
    Parameter,
    Program,
)

__all__ = ["parse_program"]

_AGGREGATES = ("struct", "union", "enum")


def parse_program(tokens: Sequence[Token], comments: Sequence[Comment]) -> Program:
    """Split into declarations and read each. Raises ParseError with the line."""
    functions: list[Function] = []
    channels: list[Channel] = []
    declarations: list[Declaration] = []
    attributes: list[tuple[str, Attribute]] = []
    constants: dict[str, int] = {}
    layouts = Layouts(constants)
    pragmas = tuple(t for t in tokens if t.kind == "pragma")
    for part, body in _file_scope(list(tokens)):
        if body is not None:
            function = _function(part, body)
            functions.append(function)
            attributes.extend((function.name, a) for a in take_attributes(body)[1])
            continue
        rest, found = take_attributes(part)
        if not rest:
            continue
        words = {t.text for t in rest}
        if rest[0].text == "channel" or ("channel" in words and "(" not in words):
            channels.extend(_channels(rest, found))
        else:
            declarations.append(Declaration(tuple(rest), part[0].line))
            attributes.extend(("", a) for a in found)
            layouts.learn(rest, found)
            _learn_constants(rest, constants)
    return Program(
        tuple(functions),
        tuple(channels),
        tuple(declarations),
        pragmas,
        tuple(comments),
        constants,
        layouts.type_bytes,
        layouts.type_alignment,
        tuple(attributes),
    )


def _file_scope(tokens: Sequence[Token]) -> Iterator[tuple[list[Token], list[Token] | None]]:
    """Each declaration's tokens, and the tokens of the body if it is a function."""
    part: list[Token] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "pragma":
            at += 1
        elif token.text == ";":
            if part:
                yield part, None
            part = []
            at += 1
        elif token.text in ("(", "["):
            end = closing(tokens, at)
            part.extend(tokens[at : end + 1])
            at = end + 1
        elif token.text == "{":
            end = closing(tokens, at)
            texts = [t.text for t in take_attributes(part)[0]]
            if "(" in texts and "=" not in texts:
                yield part, list(tokens[at + 1 : end])
                part = []
            else:  # an aggregate's members or an initialiser
                part.extend(tokens[at : end + 1])
            at = end + 1
        elif token.text in (")", "]", "}"):
            raise ParseError(token.line, f"{token.text!r} was not opened")
        else:
            part.append(token)
            at += 1
    if part:
        raise ParseError(part[0].line, "a declaration is not ended")


def _function(head: Sequence[Token], body: Sequence[Token]) -> Function:
    rest, attributes = take_attributes(head)
    opening = next(i for i, t in enumerate(rest) if t.text == "(")
    if opening == 0:
        raise ParseError(rest[0].line, "a function without a name")
    name = rest[opening - 1]
    parameters = []
    for part in split(rest[opening + 1 : closing(rest, opening)]):
        words = [t for t in part if t.kind == "name"]
        if not part or [t.text for t in part] == ["void"]:
            continue
        parameters.append(Parameter(words[-1].text if words else "", part, part[0].line))
    kernel = any(t.text in ("__kernel", "kernel") for t in rest[:opening])
    return Function(
        name.text,
        kernel,
        tuple(attributes),
        tuple(parameters),
        (*head, *body),
        parse_body(body),
        name.line,
    )


def _channels(rest: Sequence[Token], attributes: Sequence[Attribute]) -> Iterator[Channel]:
    first, *others = split(rest)
    if not all(any(t.kind == "name" for t in part) for part in (first, *others)):
        raise ParseError(rest[0].line, "a channel without a name")
    # Declarators are "name [size]..."; the first part begins with the type.
    bare = [i for i, t in enumerate(first) if t.kind == "name"]
    name_at = bare[-1]
    while len(bare) > 1 and _inside_brackets(first, name_at):
        bare.pop()
        name_at = bare[-1]
    type_tokens = tuple(t for t in first[:name_at] if t.text not in ("channel", "*", "("))
    for part, start in ((first, name_at), *((o, 0) for o in others)):
        pointer = any(t.text in ("*", "(") for t in part)
        names = [i for i in range(start, len(part)) if part[i].kind == "name"]
        at = names[0]
        sizes = []
        follow = at + 1
        while follow < len(part) and part[follow].text == "[":
            end = closing(part, follow)
            sizes.append(tuple(part[follow + 1 : end]))
            follow = end + 1
        yield Channel(
            part[at].text, type_tokens, tuple(sizes), pointer, tuple(attributes), part[at].line
        )


def _inside_brackets(tokens: Sequence[Token], at: int) -> bool:
    depth = sum((t.text == "[") - (t.text == "]") for t in tokens[:at])
    return depth > 0


def _learn_constants(rest: Sequence[Token], constants: dict[str, int]) -> None:
    texts = [t.text for t in rest]
    if "enum" in texts[:2] and "{" in texts:
        opening = texts.index("{")
        value = -1
        for part in split(rest[opening + 1 : closing(rest, opening)]):
            if not part:
                continue
            given = evaluate(part[2:], constants) if len(part) > 2 else value + 1
            if given is None:
                return
            value = constants[part[0].text] = given
    elif texts[0] in ("__constant", "constant", "const", "static") and "=" in texts:
        equals = texts.index("=")
        if all(
            t in INTEGER_TYPES | {"__constant", "constant", "static"} for t in texts[: equals - 1]
        ):
            value_ = evaluate(rest[equals + 1 :], constants)
            if value_ is not None:
                constants[texts[equals - 1]] = value_
