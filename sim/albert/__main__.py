"""``python -m shiftforge.sim.albert``: sentences on devices and RTL, every stage compared."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.quant.albert.file import load_integer
from shiftforge.quant.albert.network import IntegerAlbert
from shiftforge.quant.albert.texts import held_out
from shiftforge.quant.text.corpus import CORPORA, load_corpus
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window
from shiftforge.sim.albert.check import check_sentences


def _lines(source: str, network: IntegerAlbert, folder: Path) -> list[NDArray[np.int64]]:
    """One sentence a line of a file, or of standard input for "-"."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot be read: {error}", "give a text", source)) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(Problem("no sentences", "give one a line", source))
    return [window(ids, network.length) for ids in encode(load_tokeniser(folder), lines)]


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--tokeniser", type=click.Path(path_type=Path), required=True, help="its folder")
@click.option("--text", help="file of sentences, one a line, or - for standard input")
@click.option("--corpus", type=click.Choice(sorted(CORPORA)), default="bbc", show_default=True)
@click.option("--fold", type=click.IntRange(0, 4), default=0, show_default=True)
@click.option("--count", default=20, show_default=True, help="held-out texts, without --text")
@click.option("--threshold", type=float, help="entropy of the exit in nats; all layers without")
@click.option("--device", "devices", multiple=True, help="OpenCL device, more than once")
@click.option("--rtl/--no-rtl", default=True, show_default=True)
@click.option("-n", "lanes", default=16, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(
    network: Path, tokeniser: Path, text: str | None, corpus: str, fold: int, count: int,
    threshold: float | None, devices: tuple[str, ...], rtl: bool, lanes: int, as_json: bool,
) -> None:  # fmt: skip
    """Run sentences through NETWORK in the reference, on OpenCL devices and on the RTL."""
    try:
        integers = load_integer(network)
        if text is None:
            held = held_out(load_corpus(corpus), fold, tokeniser, integers.length)
            places = np.linspace(0, len(held.ids) - 1, count).astype(int)
            sentences = [held.ids[i] for i in places]
            wanted = [integers.classes[held.labels[i]] for i in places]
        else:
            sentences, wanted = _lines(text, integers, tokeniser), []
        report = check_sentences(
            integers, sentences, threshold, devices=devices, rtl=rtl, lanes=lanes,
            say=lambda told: print(told, file=sys.stderr, flush=True),
        )  # fmt: skip
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
    except CheckFailed as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from error
    if as_json:
        print(json.dumps({**asdict(report), "wanted": wanted}))
    else:
        for index, row in enumerate(report.sentences):
            cycles = "" if row.cycles is None else f"  {row.cycles:>9,} cycles"
            label = row.label + ("" if not wanted else f" ({wanted[index]})")
            print(f"{row.tokens:>4} tokens  layer {row.exit_layer}  {label}{cycles}")
            for name, first in row.first.items():
                print(f"  {name}: {first}")
        right = sum(a.label == b for a, b in zip(report.sentences, wanted, strict=False))
        if integers.skipped:
            print(f"heads {', '.join(map(str, integers.skipped))} are off and not computed")
        macs = sum(row.macs for row in report.sentences)
        print(f"{macs:,} multiply-accumulates up to the exits")
        print(
            f"{len(sentences)} sentences, {report.values:,} integers compared, "
            f"{report.mismatches} mismatches" + (f", {right} labels right" if wanted else "")
        )
        if rtl:
            print(f"{report.cycles:,} cycles, {report.ideal_cycles:,} ideal, n = {lanes}")
    if report.mismatches:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
