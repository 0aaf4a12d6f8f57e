"""Where every operator of the integer graph has to be known, and which of these places lack one.

The list of operators is the union ``Node`` of quant/graph/types.py; ``MapNode`` of
quant/graph/verify_maps.py has those that pool, move or look up maps, which have modules of their
own in several places. A place is a module that tells operators apart; it knows an operator whose
class its code names, be it in a match, an isinstance, a signature or a call. Imports and texts do
not count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

TYPES = "quant/graph/types.py"
MAPS = "quant/graph/verify_maps.py"
CAPTURE = "quant/capture/operators.py"
PASS = "generator/conv/followers.py"
LAYERS = "generator/conv/layers.py"
PAGE = "docs/OPERATORS.md"


@dataclass(frozen=True)
class Place:
    """A module that must name every operator, or every one of a family.

    what: of the operator it holds. form: the name that stands for operator X there: its class
    ``{0}``, the float node ``Float{0}``, or the field ``{1}`` (lower case).
    """

    what: str
    path: str
    form: str = "{0}"
    family: Literal["all", "maps", "others"] = "all"

    def asked(self, known: Sequence[str], maps: Sequence[str]) -> list[str]:
        """The operators that the module has to know."""
        if self.family == "all":
            return list(known)
        return [operator for operator in known if (operator in maps) == (self.family == "maps")]

    def name_of(self, operator: str) -> str:
        """What the module has to name."""
        return self.form.format(operator, operator.lower())

    def missed(self, known: Sequence[str], text: str) -> list[str]:
        """One line for every known operator that the module's text does not name."""
        names = named(text)
        return [
            f"{operator} has no place in {self.what}: {self.path} does not name "
            f"{self.name_of(operator)}"
            for operator in known
            if self.name_of(operator) not in names
        ]


# In the order in which an operator is added; CONTRIBUTING.md walks down this list.
PLACES = (
    Place("the node type of the integer graph", TYPES),
    Place("the verifier", "quant/graph/verify.py"),
    Place("the JSON form", "quant/graph/jsonform.py"),
    Place("the reader of the JSON form", "quant/graph/jsonread.py", family="others"),
    Place("the reader of the JSON form of maps", "quant/graph/jsonmaps.py", family="maps"),
    Place("the golden reference", "sim/golden/conv/network.py"),
    Place("the fuzzer of random networks", "tests/helpers/random_maps.py"),
    Place("the fake-quantised network", "quant/simulate.py"),
    Place("the ONNX export", "quant/export/qdq.py"),
    Place("the float node", "quant/capture/types.py", "Float{0}"),
    Place("the value of the float node", "quant/capture/evaluate.py", "Float{0}"),
    Place("the float ONNX export", "quant/export/float_onnx.py", "Float{0}"),
    Place("calibration", "quant/calibrate/grid_groups.py", "Float{0}"),
    Place("conversion of float nodes", "quant/calibrate/convert.py", "Float{0}"),
    Place("conversion to integer nodes", "quant/calibrate/convert.py", family="others"),
    Place("conversion of maps", "quant/capture/map_nodes.py", family="maps"),
    Place("the network in training", "quant/schemes/network.py", "Float{0}"),
    Place("the accelerator's check", "generator/conv/check.py", "Float{0}", family="others"),
    Place("the accelerator's check of maps", "generator/conv/dry_maps.py", "Float{0}", "maps"),
    Place("a pass", PASS, family="others"),
)
# Asked only of operators that are a field of the schedule's Layer: it may refuse others.
INSTRUCTION = Place("the record", "generator/conv/lower_post.py", "{1}")
# Modules that tell some operators apart and need not know all, with the reason.
PARTIAL = {
    "bench/conv/shapes.py": "makes MobileNetV2's shapes, for plans",
    "generator/conv/check.py": "what moves has no pass of its own",
    "generator/conv/legal/average_pools.py": "averages and what thins them",
    "generator/conv/legal/max_pools.py": "windows of both pools",
    "generator/conv/legal/copies.py": "convolutions that it makes",
    "generator/conv/documents.py": "what has no word of its own is called by its class",
    "generator/conv/layers.py": "what one pass runs",
    "generator/conv/legal/joins.py": "what a pass has room for, and what is no pass",
    "generator/conv/legal/legalise.py": "what it does not rewrite stays as it is",
    "generator/conv/legal/moves.py": "rewrites what moves channels",
    "generator/conv/legal/outputs.py": "what sends out 32 bits itself",
    "generator/conv/passes.py": "what a pass begins with",
    "generator/conv/schedule.py": "refuses by name what the array does not run",
    "quant/calibrate/convert_maps.py": "what calibration decides of two operators",
    "quant/calibrate/equalise.py": "moves factors between convolutions; other nodes tie maps",
    "quant/calibrate/grids.py": "convolutions alone have a wide output",
    "quant/export/onnx_moves.py": "what moves values, for the two exports",
    "quant/export/pool_rounding.py": "what both averages share",
    "quant/graph/example_builder.py": "makes MobileNetV2's operators",
    "quant/graph/floats.py": "what has weights, activations or functions of its own",
    "quant/graph/ties.py": "two kinds of operators and all others",
    "quant/graph/windows.py": "geometry of pools",
    "sim/golden/conv/moves.py": "formulas of five operators",
    "sim/golden/conv/windows.py": "formulas of pools",
}


@cache
def named(text: str) -> frozenset[str]:
    """Names and attributes that the code of a module uses, imports left out."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return frozenset(found)


def operators(types: str, union: str = "Node") -> tuple[str, ...]:
    """The classes of a union in the text of a module, such as ``Node`` of quant/graph/types.py."""
    for own in (node for node in ast.parse(types).body if isinstance(node, ast.AnnAssign)):
        if ast.unparse(own.target) == union and own.value is not None:
            parts = ast.walk(own.value)
            return tuple(sorted(part.id for part in parts if isinstance(part, ast.Name)))
    raise AssertionError(f"there is no union {union}")


def layer_fields(layers: str) -> frozenset[str]:
    """The fields of the class ``Layer`` in the text of generator/conv/layers.py."""
    for node in ast.parse(layers).body:
        if isinstance(node, ast.ClassDef) and node.name == "Layer":
            own = (part.target for part in node.body if isinstance(part, ast.AnnAssign))
            return frozenset(ast.unparse(target) for target in own)
    raise AssertionError(f"{LAYERS} has no class Layer")


def captured(text: str) -> tuple[str, ...]:
    """The ATen operators in the text of quant/capture/operators.py: words given to _family."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_family":
            found += ast.literal_eval(node.args[0]).split()
    return tuple(sorted(found))


def read(root: Path) -> dict[str, str]:
    """Texts by path: modules of quant, generator, sim and bench, every other place, the page."""
    folders = ("quant", "generator", "sim", "bench")
    modules = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    paths = {str(path.relative_to(root)) for path in modules}
    paths |= {place.path for place in (*PLACES, INSTRUCTION)} | {PAGE}
    return {path: (root / path).read_text(encoding="utf-8") for path in sorted(paths)}


def missing(texts: Mapping[str, str], places: Sequence[Place] = PLACES) -> list[str]:
    """One line for every operator that a place does not know, in the places' order."""
    known, maps = operators(texts[TYPES]), operators(texts[MAPS], "MapNode")
    found = []
    for place in places:
        found += place.missed(place.asked(known, maps), texts[place.path])
    fields = layer_fields(texts[LAYERS])
    mapped = [operator for operator in known if operator.lower() in fields]
    found += INSTRUCTION.missed(mapped, texts[INSTRUCTION.path])
    return found + _undocumented(texts, known) + _unlisted(texts, known, maps)


def _undocumented(texts: Mapping[str, str], known: Sequence[str]) -> list[str]:
    semantics = ast.get_docstring(ast.parse(texts[TYPES])) or ""
    rows = re.findall(r"^\| `(\w+)` \|", texts[PAGE], re.M)
    inline = set(re.findall(r"`([\w.]+)`", texts[PAGE]))
    return [
        *(f"{o}: the text above {TYPES} has no line * ``{o}``:" for o in known
          if f"* ``{o}``:" not in semantics),
        *(f"{o}: {PAGE} has no row for it" for o in known if o not in rows),
        *(f"{PAGE} has a row for {o}, which is no operator" for o in rows if o not in known),
        *(f"aten.{name}: {PAGE} does not name it" for name in captured(texts[CAPTURE])
          if name not in inline),
    ]  # fmt: skip


def _unlisted(texts: Mapping[str, str], known: Sequence[str], maps: Sequence[str]) -> list[str]:
    """Modules outside the list that tell two operators apart and leave one of a family out."""
    listed = {(place.path, place.form) for place in PLACES}
    found = []
    for path, text in texts.items():
        # Each module of capture makes some: tests/quant/capture asks that all are made.
        if path in PARTIAL or not path.endswith(".py") or path.startswith("quant/capture/"):
            continue
        names = named(text)
        for form in ("{0}", "Float{0}"):
            own = [operator for operator in known if form.format(operator) in names]
            whole = [[o for o in known if (o in maps) == family] for family in (True, False)]
            if (path, form) in listed or len(own) < 2 or own in [list(known), *whole]:
                continue
            left = ", ".join(form.format(o) for o in known if o not in own)
            found.append(f"{path} tells operators apart and does not name {left}")
    return found
