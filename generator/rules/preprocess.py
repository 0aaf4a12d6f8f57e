"""A small C preprocessor: macros, conditionals and pragmas, with the lines of the text kept.

It covers what generated OpenCL C uses: object-like and function-like macros (with ``#``, ``##`` and
``__VA_ARGS__``), ``#if`` .. ``#endif``, ``#undef``, ``#pragma`` and ``_Pragma``. Includes have to
be in the text already: an ``#include`` that is reached is reported, as what it hides is unchecked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shiftforge.generator.rules.constants import evaluate
from shiftforge.generator.rules.lexer import Comment, LexedLine, Token, lex

__all__ = ["Fault", "Preprocessed", "preprocess"]


@dataclass(frozen=True)
class Fault:
    """Text that cannot be read, so that the rules cannot vouch for it."""

    line: int
    message: str


@dataclass(frozen=True)
class Preprocessed:
    """The tokens the compiler would see (pragmas are tokens of their own) and all comments."""

    tokens: tuple[Token, ...]
    comments: tuple[Comment, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class _Macro:
    parameters: tuple[str, ...] | None  # None: object-like
    variadic: bool
    body: tuple[Token, ...]


@dataclass
class _Branch:
    line: int
    active: bool
    taken: bool  # whether a branch of this conditional has been active
    outer: bool


def preprocess(text: str, defines: Mapping[str, str]) -> Preprocessed:
    """Run the preprocessor; ``defines`` are the ``-D`` options (name -> replacement text)."""
    lines, comments = lex(text)
    state = _Preprocessor()
    for name, value in defines.items():
        state.define_text(name, value)
    for line in lines:
        state.feed(line)
    state.finish()
    return Preprocessed(tuple(state.output), tuple(comments), tuple(state.faults))


class _Preprocessor:
    def __init__(self) -> None:
        self.output: list[Token] = []
        self.faults: list[Fault] = []
        self._macros: dict[str, _Macro] = {}
        self._branches: list[_Branch] = []
        # Text between two directives, expanded at once: a macro's arguments may span lines.
        self._waiting: list[Token] = []

    def define_text(self, name: str, value: str) -> None:
        body = [token for line in lex(value)[0] for token in line.tokens]
        self._macros[name] = _Macro(None, False, tuple(body))

    def feed(self, line: LexedLine) -> None:
        if not line.directive:
            if self._active():
                self._waiting.extend(line.tokens)
            return
        if len(line.tokens) > 1:
            self._directive(line.tokens[1].text, line.tokens[2:], line.line)

    def finish(self) -> None:
        self._flush()
        for branch in self._branches:
            self.faults.append(Fault(branch.line, "this conditional has no #endif"))

    def _active(self) -> bool:
        return not self._branches or self._branches[-1].active

    def _flush(self) -> None:
        self.output.extend(_pragma_operators(self._expand(self._waiting)))
        self._waiting = []

    def _directive(self, name: str, rest: Sequence[Token], line: int) -> None:
        if name in ("if", "ifdef", "ifndef"):
            outer = self._active()
            holds = outer and self._condition(name, rest, line)
            self._branches.append(_Branch(line, holds, holds, outer))
        elif name in ("elif", "else", "endif"):
            self._switch_branch(name, rest, line)
        elif self._active():
            self._flush()
            match name:
                case "define" if rest:
                    self._define(rest)
                case "undef" if rest:
                    self._macros.pop(rest[0].text, None)
                case "pragma":
                    self.output.append(_pragma(self._expand(rest), line))
                case "include":
                    self.faults.append(Fault(line, "an #include is left in the text"))
                case "error":
                    words = " ".join(t.text for t in rest)
                    self.faults.append(Fault(line, f"#error is reached: {words}"))

    def _switch_branch(self, name: str, rest: Sequence[Token], line: int) -> None:
        if not self._branches:
            self.faults.append(Fault(line, f"#{name} without #if"))
            return
        branch = self._branches[-1]
        if branch.outer:
            self._flush()
        if name == "endif":
            self._branches.pop()
            return
        open_ = branch.outer and not branch.taken
        branch.active = open_ and (name == "else" or self._condition("if", rest, line))
        branch.taken = branch.taken or branch.active

    def _condition(self, name: str, rest: Sequence[Token], line: int) -> bool:
        self._flush()
        if name != "if":
            known = bool(rest) and rest[0].text in self._macros
            return known == (name == "ifdef")
        tokens = self._expand(self._replace_defined(rest))
        value = evaluate(tokens, {t.text: 0 for t in tokens if t.kind == "name"})
        if value is None:
            self.faults.append(Fault(line, "the condition of #if is no integer constant"))
        return bool(value)

    def _replace_defined(self, tokens: Sequence[Token]) -> list[Token]:
        out: list[Token] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.text == "defined":
                bracket = at + 1 < len(tokens) and tokens[at + 1].text == "("
                name_at = at + 1 + bracket
                known = name_at < len(tokens) and tokens[name_at].text in self._macros
                out.append(Token("number", str(int(known)), token.line))
                at = name_at + 1 + bracket
            else:
                out.append(token)
                at += 1
        return out

    def _define(self, rest: Sequence[Token]) -> None:
        name = rest[0].text
        if len(rest) > 1 and rest[1].text == "(" and not rest[1].spaced:
            close = next((i for i, t in enumerate(rest) if t.text == ")"), len(rest) - 1)
            names = [t.text for t in rest[2:close] if t.text != ","]
            variadic = bool(names) and names[-1] == "..."
            if variadic:
                names[-1] = "__VA_ARGS__"
            self._macros[name] = _Macro(tuple(names), variadic, tuple(rest[close + 1 :]))
        else:
            self._macros[name] = _Macro(None, False, tuple(rest[1:]))

    def _expand(self, tokens: Iterable[Token]) -> list[Token]:
        out: list[Token] = []
        stack = list(tokens)[::-1]
        while stack:
            token = stack.pop()
            macro = self._macros.get(token.text) if token.kind == "name" else None
            if macro is None or token.text in token.hidden:
                out.append(token)
                continue
            arguments: list[list[Token]] = []
            if macro.parameters is not None:
                if not stack or stack[-1].text != "(":
                    out.append(token)
                    continue
                arguments = _arguments(stack, macro)
            replaced = self._substitute(macro, arguments, token.line)
            hidden = token.hidden | {token.text}
            stack.extend(
                dataclasses.replace(t, line=token.line, hidden=t.hidden | hidden)
                for t in reversed(replaced)
            )
        return out

    def _substitute(self, macro: _Macro, arguments: list[list[Token]], line: int) -> list[Token]:
        given = dict(zip(macro.parameters or (), arguments, strict=False))
        out: list[Token] = []
        body = macro.body
        at = 0
        while at < len(body):
            token = body[at]
            following = body[at + 1].text if at + 1 < len(body) else ""
            if token.text == "#" and following in given:
                text = " ".join(t.text for t in given[following])
                out.append(Token("string", f'"{text}"', line))
                at += 1
            elif token.text == "##" and out and following:
                right = given.get(following, [body[at + 1]])
                if right:
                    left = out.pop()
                    out.extend(lex(left.text + right[0].text)[0][0].tokens)
                    out.extend(right[1:])
                at += 1
            elif token.text in given:
                argument = given[token.text]
                out.extend(argument if following == "##" else self._expand(argument))
            else:
                out.append(token)
            at += 1
        return out


def _arguments(stack: list[Token], macro: _Macro) -> list[list[Token]]:
    """Take ``( ... )`` off the stack and split it at the commas outside brackets."""
    stack.pop()
    wanted = len(macro.parameters or ())
    arguments: list[list[Token]] = [[]]
    depth = 0
    while stack:
        token = stack.pop()
        if token.text in ("(", "[", "{"):
            depth += 1
        elif token.text in (")", "]", "}"):
            if depth == 0:
                break
            depth -= 1
        if token.text == "," and depth == 0 and not (macro.variadic and len(arguments) == wanted):
            arguments.append([])
        else:
            arguments[-1].append(token)
    return arguments


def _pragma(tokens: Sequence[Token], line: int) -> Token:
    return Token("pragma", " ".join(t.text for t in tokens), line)


def _pragma_operators(tokens: list[Token]) -> list[Token]:
    """Turn ``_Pragma("...")`` into pragma tokens."""
    out: list[Token] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.text == "_Pragma" and at + 3 < len(tokens) and tokens[at + 2].kind == "string":
            words = lex(tokens[at + 2].text[1:-1])[0][0].tokens
            out.append(_pragma(words, token.line))
            at += 4
        else:
            out.append(token)
            at += 1
    return out
