"""Listed exceptions from the pipelining rules: each with its reason and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shiftforge.generator.rules.registry import RULES, RuleViolation, violation

__all__ = ["RuleException", "apply_exceptions"]


@dataclass(frozen=True)
class RuleException:
    """What a text may break, and what that costs.

    rule, kernel, subject: as in the violation that is excepted. reason: why it stays. cycles: what
    it costs, ``per`` what, such as 40 per "command"; 0 where it costs area or nothing.
    """

    rule: str
    kernel: str
    subject: str
    reason: str
    cycles: int
    per: str

    def covers(self, found: RuleViolation) -> bool:
        """Whether it excepts a violation."""
        return (self.rule, self.kernel, self.subject) == (found.rule, found.kernel, found.subject)


def apply_exceptions(
    found: Iterable[RuleViolation], exceptions: Sequence[RuleException]
) -> Iterator[RuleViolation]:
    """The violations that no exception covers, and one for each exception that covers none.

    Raises ValueError for an exception from a rule that there is not, or that has no reason.
    """
    for exception in exceptions:
        if exception.rule not in RULES or not exception.reason or exception.cycles < 0:
            raise ValueError(f"no exception that can be listed: {exception}")
    used: set[RuleException] = set()
    for one in found:
        covering = [e for e in exceptions if e.covers(one)]
        used.update(covering)
        if not covering:
            yield one
    for exception in exceptions:
        if exception not in used:
            yield violation(
                "exception-unused",
                exception.kernel,
                0,
                f"the exception from {exception.rule} for {exception.subject} no longer occurs",
                "take it off the list",
                subject=exception.subject,
            )
