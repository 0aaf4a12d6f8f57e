"""Results as JUnit XML, which CI systems read: a case for each thing that was compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from shiftforge.sim.results import Run
from shiftforge.sim.trace import Divergence, outcomes

__all__ = ["NAME", "Case", "Suite", "junit_xml", "suite_of"]

NAME = "shiftforge"
"""Of the whole document: a file that begins with it may be replaced."""
# What XML 1.0 cannot hold, not even escaped.
_UNTOLD = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """name: unique in its suite. failure: what is wrong and where, or empty; error: why nothing is
    known of it; skipped: why it was left out."""

    name: str
    failure: str = ""
    error: str = ""
    skipped: str = ""


@dataclass(frozen=True)
class Suite:
    """The cases of one run. seconds: of it."""

    name: str
    cases: tuple[Case, ...]
    seconds: float = 0.0

    @property
    def failures(self) -> int:
        """Cases that failed."""
        return sum(bool(case.failure) for case in self.cases)


def suite_of(want: Run, got: Run, name: str, more: str = "") -> Suite:
    """A case for every stage of every sample that both runs have, and one for each fault.

    more: said below the first failure, such as where its waveform lies.
    """
    found: list[tuple[str, Divergence | None]] = [
        (stage.label or stage.name, one) for stage, _, one in outcomes(want.trace, got.trace)
    ]
    found += [(fault.label or fault.stage, fault) for fault in got.faults]
    cases = []
    for label, one in found:
        failure = "" if one is None else str(one)
        if failure and more:
            failure, more = f"{failure}\n{more}", ""
        cases.append(Case(label, failure))
    return Suite(name, tuple(cases), float(got.facts.get("seconds", 0.0)))


def junit_xml(suites: Sequence[Suite]) -> bytes:
    """The document. Characters that XML cannot hold are replaced by U+FFFD."""
    root = ElementTree.Element("testsuites", {"name": NAME, **_counted(suites)})
    for suite in suites:
        facts = {"name": _told(suite.name), **_counted([suite])}
        own = ElementTree.SubElement(root, "testsuite", facts)
        for case in suite.cases:
            made = ElementTree.SubElement(
                own, "testcase", classname=_told(suite.name), name=_told(case.name), time="0"
            )
            for tag in ("failure", "error", "skipped"):
                if text := _told(getattr(case, tag)):
                    facts = {"message": text.splitlines()[0]}
                    facts |= {"type": "divergence"} if tag == "failure" else {}
                    ElementTree.SubElement(made, tag, facts).text = text
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _counted(suites: Sequence[Suite]) -> dict[str, str]:
    return {
        "tests": str(sum(len(suite.cases) for suite in suites)),
        "failures": str(sum(suite.failures for suite in suites)),
        "errors": str(sum(bool(case.error) for suite in suites for case in suite.cases)),
        "skipped": str(sum(bool(case.skipped) for suite in suites for case in suite.cases)),
        "time": f"{sum(suite.seconds for suite in suites):.3f}",
    }


def _told(text: str) -> str:
    return _UNTOLD.sub("\ufffd", text)
