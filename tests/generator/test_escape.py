"""Every escape function on random texts: what comes out is inert, and the same where it can be."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from shiftforge.errors import InputError
from shiftforge.generator import escape
from shiftforge.generator.render import render

EVIL = (
    "*/ int evil(int a) { return a; } /*",
    "$(shell touch evil)",
    "${shell}",
    "x; touch evil",
    "`touch evil`",
    "'; touch evil; '",
    "a\nall:\n\ttouch evil",
    "a\\",
    "a\\\\#b",
    "#",
    '"""\nimport os\n"""',
    "'''",
    "{{ version }}",
    "{% raw %}",
    "??/",
    "[x](http://evil.example)",
    "<script>alert(1)</script>",
    "| a | b |",
    "__init__ *b* ~~c~~",
    "https://evil.example www.evil.example",
    "&lt;&#42;",
    "\x1b]0;evil\x07",
    "\u202e\u2028\x85\ud800",
    "x" * 10_000,
    "",
    " ",
    "-rf",
    "%(prog)s %s",
)
texts = st.one_of(
    st.sampled_from(EVIL),
    st.text(st.sampled_from("*/\\$#'\"`|_[]()<>{}&;: \n\tab1.-+=!~%w@^"), max_size=12),
    st.text(max_size=20),
)
quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(texts)
def test_a_comment_of_c_cannot_be_left(text: str) -> None:
    kept = escape.c_comment(text)
    source = f"/* {kept} */ int y; // {kept}\nint z;"
    bare = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)
    assert bare == " int y; \nint z;"
    assert "\\" not in kept and "?" not in kept and len(kept) <= 200


@quick
@given(texts)
def test_a_docstring_of_python_cannot_be_left(text: str) -> None:
    tree = ast.parse(f'"""Host of {escape.python_doc(text)}."""\n# {escape.python_doc(text)}\n')
    assert len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr)


@quick
@given(st.one_of(texts, st.tuples(texts, st.integers()), st.lists(texts, max_size=3)))
def test_a_value_of_python_is_read_back(value: object) -> None:
    assert ast.literal_eval(escape.python_value(value)) == value


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@settings(quick, max_examples=15)
@given(st.lists(texts, min_size=8, max_size=25))
def test_words_of_a_makefile_reach_the_program_as_they_are(
    tmp_path: Path, values: list[str]
) -> None:
    told = [v for v in values if v.isprintable() and "\0" not in v] or ["a"]
    lines = ["ALL := " + escape.make_words(told)]
    lines += [f"V{i} ?= {escape.make_word(value)}" for i, value in enumerate(told)]
    lines += [f"# {escape.make_comment(value)}" for value in values]
    each = " ".join(f"$(V{i})" for i in range(len(told)))
    lines += ["all:", f"\t@printf '%s\\n' $(ALL) {each}", ""]
    (tmp_path / "Makefile").write_text("\n".join(lines), encoding="utf-8")
    done = make(tmp_path, "--no-print-directory")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:-1] == [*told, *told]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Makefile"]


@pytest.mark.parametrize("text", ["a\nb", "\t", "\x1b[31m", "\ud800", "\u2028"])
def test_a_word_that_no_makefile_holds_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        escape.make_word(text)
    assert all(problem.remedy for problem in caught.value.problems)


@quick
@given(texts)
def test_a_text_of_markdown_is_text_alone(text: str) -> None:
    kept = escape.markdown(text)
    source = f"# T {kept} E\n\n| a | b |\n|---|---|\n| T {kept} E | `{_code(text)}` |\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(source)
    inline = [token for token in tokens if token.type == "inline"]
    shown = "".join(c if c.isprintable() else "_" for c in text)
    shown = shown if len(shown) <= 200 else f"{shown[:197]}..."
    for token in (inline[0], inline[3]):
        assert {child.type for child in token.children or ()} <= {"text", "text_special"}
        assert "".join(child.content for child in token.children or ()) == f"T {shown} E"
    assert len(inline) == 5 and [c.type for c in inline[4].children or ()] == ["code_inline"]


def _code(text: str) -> str:
    return "x" + escape.markdown_code(text)


@pytest.mark.parametrize("link", ["https://a.example", "www.a.example", "a@b.example"])
def test_what_becomes_a_link_by_itself_does_not(link: str) -> None:
    assert link not in escape.markdown(f"see {link} now")


@quick
@given(texts)
def test_a_value_of_yaml_is_read_back(text: str) -> None:
    if not text.isprintable():
        with pytest.raises(InputError, match="YAML"):
            escape.yaml_text(text)
        return
    document = f"a:\n  - {escape.yaml_text(text)}\nb: {escape.yaml_text(text)}\n"
    assert yaml.safe_load(document) == {"a": [text], "b": text}


@quick
@given(texts)
def test_a_line_of_indented_code_stays_one(text: str) -> None:
    parts = MarkdownIt().parse(f"before\n\n    x{escape.indented_code(text)}\n\nafter\n")
    assert [part.type for part in parts if part.type not in ("inline",)] == [
        "paragraph_open", "paragraph_close", "code_block", "paragraph_open", "paragraph_close",
    ]  # fmt: skip


@quick
@given(texts)
def test_text_that_nobody_has_escaped_reaches_no_template(text: str) -> None:
    try:
        escape.guard(text)
    except ValueError:
        return
    assert text.isprintable() and not re.search(
        r'\*/|"""|\$[({]|[`\\]', text.replace("$signed", "")
    )


def test_a_template_refuses_unescaped_text() -> None:
    with pytest.raises(ValueError, match="unescaped text in a template"):
        render("edgebert/rtl/header.j2", {"version": "1", "description": "a\n*/"})
    assert "1" in render("edgebert/rtl/header.j2", {"version": "1", "description": "4 lanes"})


def test_a_template_without_a_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("edgebert/rtl/header.j2", {"version": "1"})
