"""JUnit XML: a case for each stage of each sample, and texts that XML cannot hold."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from shiftforge.sim.junit import Case, Suite, junit_xml, suite_of
from shiftforge.sim.results import Run
from shiftforge.sim.trace import Divergence, Stage


def run(values: list[list[int]], *faults: Divergence) -> Run:
    """Samples with two stages each, of one number."""
    found = [
        Stage(name, (), lambda v=v: np.array(v), 0, i, f"sample {i + 1}, {name}")  # type: ignore[misc]
        for i, own in enumerate(values)
        for name, v in zip(("first", "second"), own, strict=False)
    ]
    return Run("rtl", found, facts={"seconds": 1.5}, faults=faults)


def test_every_stage_of_every_sample_is_a_case() -> None:
    fault = Divergence("program", (), 0, 1, 1, 1, sample=2, label="sample 3, program")
    suite = suite_of(run([[1, 2], [3, 4], [5, 6]]), run([[1, 2], [3, 9]], fault), "p.rtl", "look")
    root = ElementTree.fromstring(junit_xml([suite, Suite("empty", ())]))
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "5", "2")
    own = root[0]
    assert (own.get("name"), own.get("tests"), own.get("failures")) == ("p.rtl", "5", "2")
    assert own.get("time") == "1.500"
    names = [(case.get("classname"), case.get("name")) for case in own]
    assert names[0] == ("p.rtl", "sample 1, first") and len(set(names)) == 5
    failed = {case.get("name"): case.find("failure") for case in own if len(case)}
    assert list(failed) == ["sample 2, second", "sample 3, program"]
    first, second = failed.values()
    assert first is not None and first.get("message") == "sample 2, second: 9, expected 4"
    # What else is to be said stands below the first failure alone.
    assert (first.text or "").splitlines()[1] == "look"
    assert second is not None and "look" not in (second.text or "")


def test_what_was_left_out_or_broke_is_no_failure() -> None:
    cases = (Case("a"), Case("b", error="no tool\nmore"), Case("c", skipped="not usable"))
    root = ElementTree.fromstring(junit_xml([Suite("s", cases)]))
    for own in (root, root[0]):
        told = [own.get(name) for name in ("tests", "failures", "errors", "skipped")]
        assert told == ["3", "0", "1", "1"]
    assert [[(tag.tag, tag.get("message")) for tag in case] for case in root[0]] == [
        [], [("error", "no tool")], [("skipped", "not usable")],
    ]  # fmt: skip


def test_odd_texts_are_told_as_far_as_xml_goes() -> None:
    text = "<&\"'>\x00\x08\ud800 ü\n\x1b[0m"
    root = ElementTree.fromstring(junit_xml([Suite(text, (Case(text, text),))]))
    (case,) = root.iter("testcase")
    told = "<&\"'>\ufffd\ufffd\ufffd ü"
    assert (case.get("name") or "").startswith(told)
    failure = case.find("failure")
    assert failure is not None and failure.text == f"{told}\n\ufffd[0m"
