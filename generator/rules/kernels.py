"""Rules on kernels: single work-item form, autorun, pointers and local memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from shiftforge.generator.rules.calls import Call, Known, owner, resolve
from shiftforge.generator.rules.channels import READS, WRITES
from shiftforge.generator.rules.lexer import Token
from shiftforge.generator.rules.registry import RuleViolation, violation
from shiftforge.generator.rules.statements import take_attributes
from shiftforge.generator.rules.syntax import (
    Attribute,
    Block,
    Function,
    Loop,
    Plain,
    Program,
    Statement,
)

__all__ = ["check_kernels"]

_WORK_ITEM = frozenset(
    f"get_{what}"
    for what in (
        "global_id",
        "local_id",
        "group_id",
        "global_size",
        "local_size",
        "num_groups",
        "global_offset",
        "work_dim",
        "global_linear_id",
        "local_linear_id",
    )
)
_LOCAL = ("__local", "local")


def check_kernels(program: Program, calls: Mapping[str, Sequence[Call]]) -> Iterator[RuleViolation]:
    """Rules on each kernel's attributes, arguments and form, and where ``__local`` stands."""
    scope = {n: Known((v,)) for n, v in program.constants.items()}
    io_channels = {c.name for c in program.channels if c.attribute("io") is not None}
    for kernel in program.kernels:
        found = calls[kernel.name]
        yield from _work_items(kernel, found, scope)
        yield from _pointers(kernel)
        if kernel.attribute("autorun") is not None:
            yield from _autorun(kernel, found, io_channels)
    yield from _local_outside(program, calls)


def _is_zero(attribute: Attribute | None, scope: Mapping[str, Known]) -> bool:
    if attribute is None or not attribute.arguments:
        return False
    value = resolve(attribute.arguments[0], scope)
    return value is not None and value.values == (0,)


def _work_items(
    kernel: Function, calls: Sequence[Call], scope: Mapping[str, Known]
) -> Iterator[RuleViolation]:
    ids = [c for c in calls if c.name in _WORK_ITEM]
    uses_channels = any(c.name in READS | WRITES for c in calls)
    single = _is_zero(kernel.attribute("max_global_work_dim"), scope)
    autorun = kernel.attribute("autorun") is not None
    if uses_channels or single or autorun:
        for call in ids:
            yield violation(
                "work-item-function",
                kernel.name,
                call.line,
                f"{call.name} is called in a single work-item kernel",
                "count in a loop instead",
            )
    # Without ids and without a work-group size the compiler takes a kernel as single work-item.
    ranged = kernel.attribute("reqd_work_group_size") is not None or bool(ids)
    if not single and (uses_channels or not ranged):
        yield violation(
            "single-work-item",
            kernel.name,
            kernel.line,
            "a single work-item kernel lacks max_global_work_dim(0)",
            "add __attribute__((max_global_work_dim(0)))",
        )


def _pointers(kernel: Function) -> Iterator[RuleViolation]:
    for parameter in kernel.parameters:
        words = {t.text for t in parameter.tokens}
        if parameter.pointer and not words & {"restrict", "__restrict", "__restrict__"}:
            yield violation(
                "pointer-restrict",
                kernel.name,
                parameter.line,
                f"pointer argument {parameter.name} is not restrict",
                f"write '* restrict {parameter.name}'",
            )


def _autorun(
    kernel: Function, calls: Sequence[Call], io_channels: set[str]
) -> Iterator[RuleViolation]:
    if kernel.parameters:
        yield violation(
            "autorun-arguments",
            kernel.name,
            kernel.parameters[0].line,
            f"an autorun kernel has {len(kernel.parameters)} arguments",
            "pass the values through a channel, or drop autorun",
        )
    if not _endless(_last(kernel.body)):
        yield violation(
            "autorun-endless",
            kernel.name,
            kernel.line,
            "an autorun kernel returns (the emulator crashes when one does)",
            "wrap the body's end in while (1)",
        )
    for token in kernel.tokens:
        if token.text in ("__global", "global"):
            yield violation(
                "autorun-global-memory",
                kernel.name,
                token.line,
                "an autorun kernel has a global pointer",
                "let a kernel that the host starts access global memory",
            )
    for call in calls:
        if call.name in READS | WRITES and call.arguments and call.arguments[0]:
            name = call.arguments[0][0].text
            if name in io_channels:
                yield violation(
                    "autorun-io-channel",
                    kernel.name,
                    call.line,
                    f"an autorun kernel uses I/O channel {name}",
                    "use the I/O channel in a kernel that the host starts",
                )


def _last(statement: Statement) -> Statement:
    while isinstance(statement, Block):
        filled = [c for c in statement.children if not isinstance(c, Plain) or c.tokens]
        if not filled:
            return Plain(())
        statement = filled[-1]
    return statement


def _endless(statement: Statement) -> bool:
    if not isinstance(statement, Loop):
        return False
    condition = statement.head[1] if statement.keyword == "for" else statement.head[0]
    if statement.keyword == "for" and not condition:
        return not _leaves(statement.body)
    constant = [t.text for t in condition] == ["true"]
    value = resolve(condition, {})
    return (constant or (value is not None and value.values[0] != 0)) and not _leaves(
        statement.body
    )


def _leaves(statement: Statement, inner: bool = False) -> bool:
    """Whether a ``break`` or ``return`` ends the loop; a break in an inner loop does not."""
    match statement:
        case Plain(tokens=tokens):
            words = {t.text for t in tokens}
            return "return" in words or ("break" in words and not inner)
        case Block(children=children):
            # A break after a case label leaves the switch only.
            switch = inner or any(
                isinstance(c, Plain) and c.tokens and c.tokens[0].text == "case" for c in children
            )
            return any(_leaves(c, switch) for c in children)
        case Loop(body=body):
            return _leaves(body, True)


def _local_outside(
    program: Program, calls: Mapping[str, Sequence[Call]]
) -> Iterator[RuleViolation]:
    remedy = "declare it in the kernel that owns it and pass a pointer"
    for declaration in program.declarations:
        texts = [t.text for t in declaration.tokens]
        if any(word in texts for word in _LOCAL) and "(" not in texts:
            yield violation(
                "local-in-kernel",
                "",
                declaration.line,
                "__local memory is declared at file scope",
                remedy,
            )
    for function in program.functions:
        if not function.kernel:
            kernel = owner(function, calls)
            for tokens in _plain(function.body):
                rest = take_attributes(tokens)[0]
                if any(t.text in _LOCAL for t in rest[:2]) and not any(t.text == "*" for t in rest):
                    yield violation(
                        "local-in-kernel",
                        kernel,
                        rest[0].line,
                        f"__local memory is declared in function {function.name}",
                        remedy,
                    )


def _plain(statement: Statement) -> Iterator[Sequence[Token]]:
    match statement:
        case Plain(tokens=tokens):
            yield tokens
        case Block(children=children):
            for child in children:
                yield from _plain(child)
        case Loop(body=body):
            yield from _plain(body)
