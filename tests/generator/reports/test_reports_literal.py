"""A script of data is read as data, in one pass, and nothing else is accepted."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from shiftforge.errors import InputError
from shiftforge.generator.reports.literal import read_assignments


def values(text: str) -> dict[str, object]:
    return read_assignments(text, ["a", "b"], "r.js").values


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('var a={"x":[1, 2.5, "y"]};', {"a": {"x": [1, 2.5, "y"]}}),
        ('\ufeff\n\na = \'{"x": "it\\\'s"}\';', {"a": {"x": "it's"}}),
        ('var a=\'{"x":"two\\\\nlines"}\'\nvar b=[]', {"a": {"x": "two\nlines"}, "b": []}),
        (r'var a={"x":"it\'s \x41\u0042 \"q\" \\ ; }"};', {"a": {"x": 'it\'s AB "q" \\ ; }'}}),
        ('var other={"x":"\\q ; }{"};var a=null;', {"a": None}),
        ("var c=false;const a=3", {"a": 3}),
        ("", {}),
    ],
)
def test_values_of_a_script(text: str, wanted: dict[str, object]) -> None:
    assert values(text) == wanted


def test_json_in_strings_is_told_apart() -> None:
    assert read_assignments("a='{}'", ["a"], "").in_strings
    assert not read_assignments("a={};b='x'", ["a"], "").in_strings


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('var a={"x":1', "line 1 begins a value that has no end"),
        ('var a={"x":1;}', "is not valid JSON"),
        ('\n\nvar a={"x":"y};', "line 3 has a quotation mark without its end"),
        ("var a=[1}", "line 1 has a } too many"),
        ("var a=1;\nalert(1);", "line 2 is no assignment of data"),
        ("var a=alert(1);", "is not valid JSON"),
        ("var a={x:1};", "is not valid JSON"),
        ("var a={}; var a={};", "a is assigned twice"),
        ("var a=`x`;", "quotation mark"),
        ("var a={} // note", "line 1 is no assignment"),
        ("var a={/* note */};", "comment"),
        ("var a='{\"x\":NaN}'", "NaN is no number"),
        ('var a={"x":1,"x":2}', "x stands twice"),
        ("<html>", "no assignment of data"),
        ("var a=" + "[" * 300 + "]" * 300, "more than 200 levels"),
        ("\0\1\2", "no assignment of data"),
    ],
)
def test_anything_else_is_refused(text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        values(text)
    assert any(what in str(problem) for problem in caught.value.problems)
    assert all(p.remedy and p.where.startswith("r.js") for p in caught.value.problems)


def test_every_problem_of_a_script_is_told() -> None:
    with pytest.raises(InputError) as caught:
        values("var a={x:1}; var b='{'; nonsense")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "text",
    [
        "var a=" + "[" * 1_000_000,
        "var a=" + "'" * 1_000_001,
        'var a="' + "\\" * 1_000_000,
        'var a={"' + "\\x" * 500_000,
        " " * 1_000_000 + "?",
        "var" + " " * 1_000_000,
        "var a" + " " * 1_000_000,
        "var a=" + "1" * 1_000_000,
        "var a=[" + "1," * 300_000 + "1]",
        "var a=[" + "[]," * 3_000_000 + "[]]",
        "var a='[" + "[]," * 3_000_000 + "[]]'",
    ],
)
def test_a_hostile_script_costs_one_pass(text: str) -> None:
    started = time.process_time()
    with suppress(InputError):
        values(text)
    assert time.process_time() - started < 5
