"""The network as a diagram, laid out and drawn by Graphviz's dot (the wheel graphviz-pure)."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from shiftforge.errors import InputError, Problem, ToolFailed
from shiftforge.generator.escape import printable
from shiftforge.generator.page.drawings import kept_drawing
from shiftforge.generator.page.figures import figure_text
from shiftforge.generator.render import verbatim_html
from shiftforge.tools import run_tool

__all__ = ["draw_network", "require_diagrams"]

_PROGRAM = "graphviz-pure"
_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_LONGEST = 34


def _program() -> str | None:
    """Where the program is: beside this Python, or on the path."""
    own = Path(sysconfig.get_path("scripts")) / _PROGRAM
    return str(own) if own.is_file() else shutil.which(_PROGRAM)


def require_diagrams() -> list[Problem]:
    """Why no diagram can be drawn here."""
    if _program() is not None:
        return []
    return [Problem("diagrams need graphviz-pure", "pip install 'shiftforge[report]'")]


def draw_network(network: Mapping[str, Any]) -> Markup:
    """The nodes of network.json as SVG text; colours are the page's, by class.

    Raises InputError without the program, ToolFailed where it fails.
    """
    program = _program()
    if program is None:
        raise InputError(require_diagrams())
    own = os.stat(program)
    text = _text(network)

    def drawn() -> str:
        done = run_tool([program, "-Tsvg"], text=text)
        if done.returncode != 0:
            told = done.stderr.strip()[:200]
            raise ToolFailed(f"{_PROGRAM} ended with {done.returncode}: {told}")
        return done.stdout

    decides = [program, str(own.st_size), str(own.st_mtime_ns), text]
    return verbatim_html(_PROLOGUE.sub("", kept_drawing(decides, drawn), count=1))


def _text(network: Mapping[str, Any]) -> str:
    """The diagram in Graphviz's language. A tensor is known by the node that writes it."""
    lines = [
        "digraph network {",
        'bgcolor="transparent"; ranksep=0.22; nodesep=0.3;',
        'node [shape=box, style=rounded, fontname="Arial", fontsize=11, margin="0.16,0.05"];',
        "edge [arrowsize=0.6];",
    ]
    first = network["input"]
    lines.append(_node("in", "input", [first["name"], figure_text(first["shape"], "shape")]))
    writer = {first["name"]: "in"}
    for number, node in enumerate(network["nodes"]):
        name = f"n{number}"
        shape = figure_text(node["shape"], "shape")
        lines.append(_node(name, _kind(node["op"]), [node["name"], f"{node['op']}, {shape}"]))
        added = node["op"].startswith(("addition", "sum"))
        for place, source in enumerate(node["inputs"]):
            if source in writer:
                own = " skip" if added and place else ""
                lines.append(f'{writer[source]} -> {name} [class="flow{own}"];')
        writer[node["output"]] = name
    return "\n".join([*lines, "}"])


def _kind(operator: str) -> str:
    if "depthwise" in operator:
        return "depthwise"
    if "convolution" in operator:
        return "pointwise" if operator.startswith("1×1") else "standard"
    return "other"


def _node(name: str, kind: str, texts: Iterable[str]) -> str:
    label = "\\n".join(_quoted(text) for text in texts)
    return f'{name} [class="{kind}", label="{label}"];'


def _quoted(text: str) -> str:
    short = text if len(text) <= _LONGEST + 8 else f"{text[: _LONGEST + 7]}…"
    return printable(short).replace("\\", "\\\\").replace('"', '\\"')
