"""What is told of sentences that ran: rows of figures, tables, cycles of the RTL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.text.inputs import Texts
from shiftforge.sim.edgebert.check import macs_of
from shiftforge.sim.edgebert.samples import TextSamples
from shiftforge.sim.edgebert.sentence_golden import Sentence
from shiftforge.sim.golden.edgebert.afcode import af_values
from shiftforge.sim.results import Pair, Table
from shiftforge.sim.trace import Divergence

if TYPE_CHECKING:
    from shiftforge.sim.edgebert.sentence_rtl import RtlSentence

__all__ = [
    "command_totals",
    "cosim_report",
    "cosim_tables",
    "exit_logits",
    "right_labels",
    "sentence_table",
    "stage_table",
    "text_rows",
]

_SHOWN = 40


def exit_logits(network: IntegerAlbert, sentence: Sentence) -> NDArray[np.float64]:
    """The values (classes,) of the logit codes at the exit."""
    bias = network.biases[sentence.exit_layer - 1]["logits"]
    return np.asarray(af_values(sentence.layers[-1].logits, bias), dtype=np.float64)


def probabilities(network: IntegerAlbert, sentence: Sentence) -> NDArray[np.float64]:
    """Softmax (classes,) of the logit codes at the exit, computed by the host in floating point."""
    logits = exit_logits(network, sentence)
    e = np.exp(logits - logits.max())
    shares: NDArray[np.float64] = e / e.sum()
    return shares


def text_rows(
    network: IntegerAlbert, texts: Texts, sentences: Iterable[Sentence | None]
) -> list[dict[str, Any]]:
    """One row a sentence: text, tokens, label, exit layer, entropies in nats, probability of the
    label, margin (its distance to the next one's), and multiply-accumulates up to the exit; the
    line of the input, where it has lines. Nothing of a sentence without a result (None)."""
    rows = []
    for index, sentence in enumerate(sentences):
        if sentence is None:
            continue
        shares = np.sort(probabilities(network, sentence))[::-1]
        row = {
            "text": texts.names[index],
            "tokens": len(texts.ids[index]),
            "label": network.classes[sentence.label],
            "exit_layer": sentence.exit_layer,
            "entropies": [layer.entropy / (1 << 16) for layer in sentence.layers],
            "probability": float(shares[0]),
            "margin": float(shares[0] - shares[1]),
            "macs": macs_of(network, len(texts.ids[index]), sentence.exit_layer),
        }
        if texts.wanted is not None:
            row["wanted"] = texts.wanted[index]
        if texts.lines is not None:
            row["line"] = texts.lines[index]
        rows.append(row)
    return rows


def right_labels(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Share of labels that are the wanted ones, where these are known."""
    if not rows or "wanted" not in rows[0]:
        return None
    right = [row["label"] == row["wanted"] for row in rows]
    return float(sum(right) / len(right))


def sentence_table(
    layers: int, rows: Sequence[Mapping[str, Any]], extra: tuple[str, ...] = ()
) -> Table:
    """Labelled sentences. extra: further fields of the rows, whole numbers."""
    wanted = bool(rows) and "wanted" in rows[0]
    lined = bool(rows) and "line" in rows[0]
    first = (*(("line",) if lined else ()), "label", *(("wanted",) if wanted else ()))
    columns = (*first, "probability", "margin",
               f"exit layer of {layers}", "entropy there", "tokens", *extra, "text")  # fmt: skip
    shown = [
        (
            *((row["line"],) if lined else ()),
            row["label"],
            *((row["wanted"],) if wanted else ()),
            f"{row['probability']:.3f}",
            f"{row['margin']:.3f}",
            row["exit_layer"],
            f"{row['entropies'][-1]:.3f}",
            row["tokens"],
            *(f"{row[name]:,}" for name in extra),
            _short(row["text"]),
        )
        for row in rows
    ]
    return Table("", columns, tuple(shown))


def stage_table(title: str, differences: Sequence[Divergence]) -> Table:
    """Every stage that differs, of one sentence."""
    return Table(
        title,
        ("layer", "stage", "values that differ", "the first"),
        tuple(
            ("-" if d.layer is None else d.layer, d.stage, f"{d.differing:,}", str(d))
            for d in differences
        ),
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def command_totals(runs: Iterable[RtlSentence]) -> list[dict[str, Any]]:
    """Cycles by kind of command, in the order of the program; heads together."""
    totals: dict[str, dict[str, Any]] = {}
    for run in runs:
        for command in run.commands:
            name = command.name.split(" ")[0]
            own = totals.setdefault(name, {"name": name, "runs": 0, "cycles": 0, "busy": 0})
            own["runs"] += 1
            own["cycles"] += command.end - command.start
            own["busy"] += command.busy
    return list(totals.values())


def cosim_report(
    samples: TextSamples, ran: Sequence[RtlSentence | None], pairs: Mapping[str, Pair]
) -> dict[str, Any]:
    """What ``cosim DIR --json`` prints. ran: of each sentence, None where the RTL left no result.
    pairs: golden against each device and the RTL, by name."""
    network = samples.own.network
    sentences = [None if run is None else run.sentence for run in ran]
    rows = text_rows(network, samples.texts, sentences)
    runs = [run for run in ran if run is not None]
    for row, run in zip(rows, runs, strict=True):
        row |= {"cycles": run.cycles, "ideal_cycles": run.ideal_cycles}
    cycles, ideal = (sum(row[name] for row in rows) for name in ("cycles", "ideal_cycles"))
    seconds = sum(run.seconds for run in runs)
    wrong = [pair.divergence for pair in pairs.values() if pair.divergence is not None]
    return {
        "n": samples.own.design.config.lanes,
        "weights": network.weights,
        "sentences": rows,
        "threshold": samples.options.threshold,
        "compared": list(pairs),
        "elements": sum(pair.values for pair in pairs.values()),
        "mismatches": {name: pair.mismatches for name, pair in pairs.items()},
        "bit_exact": not wrong,
        "accuracy": right_labels(rows),
        "skipped_heads": list(network.skipped),
        "macs": sum(row["macs"] for row in rows),
        "average_exit_layer": sum(row["exit_layer"] for row in rows) / max(len(rows), 1),
        "cycles": cycles,
        "ideal_cycles": ideal,
        "utilisation": ideal / max(cycles, 1),
        "cycles_per_second": cycles / seconds if seconds else None,
        "commands": command_totals(runs),
        "divergence": wrong[0].to_dict() if wrong else None,
    }


def cosim_tables(samples: TextSamples, report: Mapping[str, Any]) -> tuple[Table, ...]:
    """The same for people."""
    commands = tuple(
        (own["name"], own["runs"], f"{own['cycles']:,}", f"{own['busy']:,}")
        for own in report["commands"]
    )
    return (
        sentence_table(samples.own.network.layers, report["sentences"], ("cycles", "ideal_cycles")),
        Table(str(samples.own.folder), ("", ""), tuple(_summary(report))),
        Table("Commands of all sentences", ("command", "runs", "cycles", "array busy"), commands),
    )


def _summary(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    rate = report["cycles_per_second"]
    rows = [
        ("compared with golden", ", ".join(report["compared"])),
        ("integers", f"{report['elements']:,}"),
        ("mismatches", ", ".join(f"{k} {v:,}" for k, v in report["mismatches"].items())),
        ("average exit layer", f"{report['average_exit_layer']:.2f}"),
        ("heads not computed", ", ".join(map(str, report["skipped_heads"])) or "none"),
        ("multiply-accumulates", f"{report['macs']:,}"),
        ("cycles", f"{report['cycles']:,}"),
        ("ideal_cycles", f"{report['ideal_cycles']:,} (products of the commands that ran)"),
        ("utilisation", f"{report['utilisation']:.1%}"),
    ]
    if rate is not None:
        rows.append(("cycles_per_second", f"{rate:,.0f} (simulated)"))
    if report["accuracy"] is not None:
        rows.insert(3, ("labels right", f"{report['accuracy']:.2%}"))
    return rows
