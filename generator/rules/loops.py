"""Rules on loops: unrolling, ivdep and form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from shiftforge.generator.rules.calls import (
    Call,
    Known,
    learn_local,
    owner,
    trip,
    unroll_factor,
)
from shiftforge.generator.rules.lexer import Comment, Token
from shiftforge.generator.rules.registry import RuleViolation, violation
from shiftforge.generator.rules.syntax import Block, Loop, Plain, Program, Statement

__all__ = ["check_loops"]

# Words of which a proof beside an ivdep has at least one.
_PROOF_WORDS = ("proof", "prove", "dependenc", "ivdep")


def check_loops(program: Program, calls: Mapping[str, Sequence[Call]]) -> Iterator[RuleViolation]:
    """Rules on every loop of every function; a helper's arguments count as not known."""
    scope = {n: Known((v,)) for n, v in program.constants.items()}
    for function in program.functions:
        kernel = owner(function, calls)
        own = {n: k for n, k in scope.items() if n not in {p.name for p in function.parameters}}
        yield from _visit(function.body, kernel, own)
        for token in function.tokens:
            if token.kind == "pragma" and token.text.split()[:1] == ["ivdep"]:
                yield from _ivdep(token, kernel, program.comments)


def _visit(statement: Statement, kernel: str, scope: dict[str, Known]) -> Iterator[RuleViolation]:
    match statement:
        case Plain(tokens=tokens, pragmas=pragmas):
            for pragma in pragmas:
                if pragma.text.split()[:1] == ["unroll"]:
                    yield violation(
                        "unroll-bounds",
                        kernel,
                        pragma.line,
                        "no loop follows this unroll pragma",
                        "put the pragma directly before the loop",
                    )
            learn_local(tokens, scope)
        case Block(children=children):
            inner = dict(scope)
            for child in children:
                yield from _visit(child, kernel, inner)
        case Loop():
            yield from _loop(statement, kernel, dict(scope))


def _loop(loop: Loop, kernel: str, scope: dict[str, Known]) -> Iterator[RuleViolation]:
    factor = unroll_factor(loop, scope)
    found = trip(loop, scope)
    unroll = next((p for p in loop.pragmas if p.text.split()[:1] == ["unroll"]), None)
    if unroll is not None and factor is None:
        yield violation(
            "unroll-bounds",
            kernel,
            unroll.line,
            "the unroll factor is no constant above zero",
            "give an integer constant, or none to unroll fully",
        )
    elif unroll is not None and factor != 1 and found is None:
        yield violation(
            "unroll-bounds",
            kernel,
            unroll.line,
            "an unrolled loop has bounds that are not known when compiled",
            "use constant bounds and guard the body with a condition",
        )
    fully = found is not None and factor is not None and (factor == 0 or factor >= len(found[1]))
    if loop.keyword == "for":
        for token in loop.head[0]:
            scope.pop(token.text, None)
        if not fully:
            yield from _form(loop, kernel)
    if found is not None and fully:
        scope[found[0]] = Known(found[1])
    yield from _visit(loop.body, kernel, scope)


def _form(loop: Loop, kernel: str) -> Iterator[RuleViolation]:
    init, condition, step = ([t.text for t in part] for part in loop.head)
    if not init and not condition and not step:
        return
    remedy = "write for (int i = a; i < b; i++) and compute what is needed from i"
    steps = any(step in ([name, "++"], ["++", name], [name, "+=", "1"]) for name in step)
    if not steps:
        yield violation("loop-form", kernel, loop.line, "the loop does not step by one", remedy)
    elif not {"<", "<=", "!=", ">", ">="} & set(condition):
        yield violation(
            "loop-form",
            kernel,
            loop.line,
            "the loop does not compare its variable with a bound",
            remedy,
        )
    elif any(t.startswith(("float", "half", "double")) for t in init):
        yield violation("loop-form", kernel, loop.line, "the loop variable is no integer", remedy)


def _ivdep(pragma: Token, kernel: str, comments: Sequence[Comment]) -> Iterator[RuleViolation]:
    beside = [c for c in comments if c.first_line == pragma.line or c.last_line == pragma.line - 1]
    # Consecutive // lines are one remark.
    first = min((c.first_line for c in beside), default=0)
    for comment in reversed(comments):
        if beside and comment.last_line == first - 1:
            beside.append(comment)
            first = comment.first_line
    if not any(word in c.text.lower() for c in beside for word in _PROOF_WORDS):
        yield violation(
            "ivdep-proof",
            kernel,
            pragma.line,
            "ivdep without a proof beside it (emulation ignores it, so a wrong one "
            "shows only in hardware)",
            "say in a comment directly above why no iteration depends on another: "
            "'// ivdep proof: ...'",
        )
