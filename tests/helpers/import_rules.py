"""Reads the imports of every module of the project and holds them against the layout's rules."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Folder of the checkout -> package; those that lie inside generator/ come first.
FOLDERS = {
    "generator/api": "shiftforge",
    "generator/cli": "shiftforge.cli",
    "boards": "shiftforge.boards",
    "generator": "shiftforge.generator",
    "kernels": "shiftforge.kernels",
    "quant": "shiftforge.quant",
    "sim": "shiftforge.sim",
    "templates": "shiftforge.templates",
}
HEAVY = {"torch", "torchvision", "transformers", "pyopencl"}
TORCH = HEAVY - {"pyopencl"}
_VERSION = "shiftforge.__version__"
# What every room may use: errors, careful reading and writing, temporary work, other programs.
BASE = {
    f"shiftforge.{name}"
    for name in (
        "arguments",
        "atomic",
        "errors",
        "faults",
        "fields",
        "files",
        "jsontext",
        "kept",
        "kept_code",
        "scratch",
        "shown",
        "signals",
        "tools",
    )
}
DATA = {"shiftforge.boards", "shiftforge.kernels", "shiftforge.templates"}


@dataclass(frozen=True)
class Room:
    """What the modules of a room may name.

    own: packages of the project, with all they hold. foreign: the packages from elsewhere, None
    for any; barred: packages from elsewhere that no line may import, not even inside a function.
    unreachable: packages that must not be loaded by anything that a line of the room imports.
    """

    own: frozenset[str]
    barred: frozenset[str] = frozenset()
    unreachable: frozenset[str] = frozenset()
    foreign: frozenset[str] | None = None


def _room(
    own: set[str], barred: set[str], unreachable: set[str], foreign: set[str] | None = None
) -> Room:
    return Room(
        frozenset(own | BASE),
        frozenset(barred),
        frozenset(unreachable),
        None if foreign is None else frozenset(foreign),
    )


# The longest matching name decides.
ROOMS = {
    "shiftforge": _room({"shiftforge"}, set(), set()),
    "shiftforge.errors": _room(set(), HEAVY, HEAVY, set()),
    **{
        f"shiftforge.{name}": _room(set(), HEAVY, HEAVY, set())
        for name in (
            "arguments",
            "atomic",
            "files",
            "faults",
            "jsontext",
            "kept",
            "kept_code",
            "scratch",
            "signals",
            "supervise",
            "tools",
        )
    },
    "shiftforge.fields": _room(set(), HEAVY, HEAVY, {"pydantic"}),
    **{name: _room({name}, HEAVY, HEAVY) for name in DATA},
    "shiftforge.quant": _room({"shiftforge.quant"}, {"pyopencl"}, {"pyopencl"}),
    "shiftforge.quant.data": _room({"shiftforge.quant"}, HEAVY, HEAVY),
    "shiftforge.quant.formats": _room({"shiftforge.quant"}, HEAVY, HEAVY),
    "shiftforge.quant.graph": _room({"shiftforge.quant"}, HEAVY, HEAVY),
    "shiftforge.generator": _room(
        {"shiftforge.quant", "shiftforge.generator", *DATA}, HEAVY, HEAVY
    ),
    "shiftforge.cli": _room({"shiftforge"}, set(), set()),
    "shiftforge.sim": _room(
        {"shiftforge.quant", "shiftforge.generator", "shiftforge.sim", *DATA}, HEAVY, TORCH
    ),
    "shiftforge.sim.golden": _room(
        {"shiftforge.sim.golden", "shiftforge.quant.graph.types"}, HEAVY, HEAVY, {"numpy"}
    ),
    # These build and run kernels.
    **{
        name: _room(
            {"shiftforge.quant", "shiftforge.generator", "shiftforge.sim", *DATA}, TORCH, TORCH
        )
        for name in (
            "shiftforge.sim.opencl",
            "shiftforge.sim.conv.runtime",
            "shiftforge.sim.conv.clocked.worker",
            "shiftforge.sim.edgebert.opencl",
        )
    },
    # The float and the fake-quantised network are torch's: asked for when they are compared.
    **{
        name: _room(
            {"shiftforge.quant", "shiftforge.generator", "shiftforge.sim", *DATA}, HEAVY, set()
        )
        for name in (
            "shiftforge.sim.conv.checkpoints",
            "shiftforge.sim.edgebert.pairs",
            "shiftforge.sim.edgebert.runner",
        )
    },
}
# Folders whose modules are imported by the name in FOLDERS alone.
MISNAMED = ("shiftforge.generator.api", "shiftforge.generator.cli")
# Rooms that use every other one when a command runs; nobody below may import them.
FACADES = ("shiftforge.cli", "shiftforge")


@dataclass(frozen=True)
class Import:
    """One imported name; ``now`` where it runs as soon as the module is imported."""

    name: str
    line: int
    now: bool


def modules(root: Path) -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found: dict[str, Path] = {}
    for folder, package in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            if path not in found.values():
                inner = path.relative_to(root / folder).with_suffix("").parts
                inner = inner[:-1] if inner[-1] == "__init__" else inner
                found[".".join((package, *inner))] = path
    return found


def imports(path: Path) -> list[Import]:
    """The imports of one file, at any depth; ``from a import b`` gives ``a.b``."""
    return list(_imports(path.read_text(encoding="utf-8")))


@cache
def _imports(text: str) -> tuple[Import, ...]:
    return tuple(_walk(ast.parse(text), now=True))


def violations(root: Path) -> list[str]:
    """Every import in a checkout that its room may not have, with its place."""
    paths = modules(root)
    table = {name: imports(path) for name, path in paths.items()}
    found = []
    for name, entries in table.items():
        place = str(paths[name].relative_to(root))
        room_name = max((r for r in ROOMS if _inside(name, r)), key=len)
        room, facade = ROOMS[room_name], room_name in FACADES
        for entry in entries:
            where, top = f"{place}:{entry.line}", entry.name.split(".")[0]
            if entry.name.startswith("."):
                found.append(f"{where}: relative import")
            elif any(_inside(entry.name, folder) for folder in MISNAMED):
                found.append(f"{where}: imports {entry.name}, which is shiftforge itself")
            elif top == "shiftforge":
                if not _may_import(entry.name, room, facade):
                    found.append(f"{where}: {room_name} imports {entry.name}")
                reached = _closure(_module_of(entry.name, table), table) & room.unreachable
                found += [f"{where}: {entry.name} loads {heavy}" for heavy in sorted(reached)]
            elif top in room.barred or (
                room.foreign is not None
                and top not in room.foreign
                and top not in sys.stdlib_module_names
            ):
                found.append(f"{where}: {room_name} imports {top}")
        if name == "shiftforge" or _inside(name, "shiftforge.cli"):
            for heavy in sorted(_closure(name, table) & HEAVY):
                found.append(f"{place}: importing {name} loads {heavy}")
    return found


def circles(root: Path) -> list[tuple[str, ...]]:
    """Modules of a checkout that import each other, directly or by way of others; each circle once.

    Every import counts, also one inside a function or for types only. The version does not: it is
    a constant of the package that every module lies in, and depends on none.
    """
    table = {name: imports(path) for name, path in modules(root).items()}
    edges = {
        name: {_module_of(entry.name, table) for entry in entries if entry.name != _VERSION}
        for name, entries in table.items()
    }
    reached = {name: _reached(name, edges) for name in edges}
    found = {
        tuple(sorted({name, *(other for other in own if name in reached.get(other, ()))}))
        for name, own in reached.items()
        if name in own
    }
    return sorted(found)


def _reached(start: str, edges: dict[str, set[str]]) -> set[str]:
    """Modules that ``start`` needs, itself only where a circle leads back to it."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen


def _may_import(name: str, room: Room, facade: bool) -> bool:
    if name == _VERSION and room.foreign is None:
        return True
    if not facade and _inside(name, "shiftforge.cli"):
        return False
    return any(_inside(name, own) for own in room.own)


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _module_of(name: str, table: dict[str, list[Import]]) -> str:
    """The module that an imported name is or lies in."""
    while name not in table and "." in name:
        name = name.rpartition(".")[0]
    return name


def _closure(start: str, table: dict[str, list[Import]]) -> set[str]:
    """Modules of the project and foreign packages that importing ``start`` loads."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if "." in name:  # its packages run first
            waiting.append(name.rpartition(".")[0])
        for entry in table.get(name, ()):
            if entry.now:
                top = entry.name.split(".")[0]
                waiting.append(_module_of(entry.name, table) if top == "shiftforge" else top)
    return seen


def _walk(node: ast.AST, now: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, now)
        elif isinstance(child, ast.ImportFrom):
            base = "." * child.level + (child.module or "")
            for alias in child.names:
                yield Import(f"{base}.{alias.name}", child.lineno, now)
        elif isinstance(child, ast.Call) and _imports_by_name(child):
            yield Import(child.args[0].value, child.lineno, now)  # type: ignore[attr-defined]
        else:
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            later = later or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
            yield from _walk(child, now and not later)


def _imports_by_name(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    constant = bool(call.args) and isinstance(call.args[0], ast.Constant)
    text = constant and isinstance(call.args[0].value, str)  # type: ignore[attr-defined]
    return name in ("import_module", "__import__") and text
