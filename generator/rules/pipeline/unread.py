"""Variables that nothing reads: the compiler leaves out what is only added up in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.statements import split
from shiftforge.generator.rules.syntax import Block, Function, Loop, Plain, Statement

__all__ = ["assigned", "unread"]

_ASSIGN = frozenset(["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="])


def unread(function: Function, is_type: Callable[[str], bool]) -> frozenset[str]:
    """Names of scalars of a function that reach nothing but such scalars.

    Statements are told apart by their first tokens: ``name = ...`` without a call reads for
    ``name`` alone, anything else reads for good. Names are taken as one whatever their scope.
    """
    declared: set[str] = set()
    feeds: dict[str, set[str]] = {}
    read: set[str] = set()
    for tokens in _statements(function.body):
        if tokens and is_type(tokens[0].text):
            for part in split(tokens):
                _declarator(part, declared, feeds, read)
        else:
            _expression(tokens, feeds, read)
    pending = list(read)
    while pending:
        for name in feeds.get(pending.pop(), ()):
            if name not in read:
                read.add(name)
                pending.append(name)
    return frozenset(declared - read)


def assigned(tokens: Sequence[Token]) -> str | None:
    """The variable that a statement assigns to as a whole; None for any other statement."""
    if len(tokens) > 2 and tokens[0].kind == "name" and tokens[1].text in _ASSIGN:
        return tokens[0].text
    return None


def _statements(statement: Statement) -> Iterator[Sequence[Token]]:
    match statement:
        case Plain(tokens=tokens):
            yield tokens
        case Block(keyword=keyword, children=children):
            for at, child in enumerate(children):
                if keyword and at == 0 and isinstance(child, Plain):
                    yield _condition(child.tokens)
                else:
                    yield from _statements(child)
        case Loop(head=head, body=body):
            for part in head:
                yield _condition(part)
            yield from _statements(body)


def _condition(tokens: Sequence[Token]) -> Sequence[Token]:
    """Tokens of which every name is read."""
    return (Token("punct", "(", 0), *tokens)


def _declarator(
    part: Sequence[Token], declared: set[str], feeds: dict[str, set[str]], read: set[str]
) -> None:
    at = next((i for i, token in enumerate(part) if token.text == "="), len(part))
    names = [token for token in part[:at] if token.kind == "name"]
    plain = not any(token.text in ("*", "[") for token in part[:at])
    if names and plain:
        declared.add(names[-1].text)
        _value(names[-1].text, part[at + 1 :], feeds, read)
    else:
        read |= _names(part)


def _expression(tokens: Sequence[Token], feeds: dict[str, set[str]], read: set[str]) -> None:
    name = assigned(tokens)
    if name is not None:
        _value(name, tokens[2:], feeds, read)
    else:
        read |= _names(tokens)


def _value(name: str, tokens: Sequence[Token], feeds: dict[str, set[str]], read: set[str]) -> None:
    """What is assigned to a name: read for good where it has effects of its own."""
    acts = any(
        token.text in _ASSIGN
        or token.text in ("++", "--")
        or (token.text == "(" and at > 0 and tokens[at - 1].kind == "name")
        for at, token in enumerate(tokens)
    )
    if acts:
        read |= _names(tokens) | {name}
    else:
        feeds.setdefault(name, set()).update(_names(tokens))


def _names(tokens: Sequence[Token]) -> set[str]:
    return {token.text for token in tokens if token.kind == "name"}
