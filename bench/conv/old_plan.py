"""What the planner before the kernels of one loop a layer says of a network; prints JSON.

    python bench/conv/old_plan.py CHECKOUT

Runs with the packages of a checkout of that commit (``old_form.py`` starts it so): its network, its
plan and its text of the kernels.
"""

from __future__ import annotations

import json
import sys
from typing import Any

BOARD, UNITS, PIXELS = "a10gx1150", 16, 7


def facts(checkout: str) -> dict[str, Any]:
    """Of MobileNetV2 1.0/224 with one-term weights; modelled cycles also with two terms.

    A layer's entries are its output tiles: the convolution kernel computes one in each pass of its
    outer loop, with one entry of the inner loop. iterations are what its inner loop runs in all
    of them.
    """
    sys.path.insert(0, checkout)
    from bench.conv.shapes import mobilenet_v2
    from shiftforge.boards.load import load_board
    from shiftforge.generator.conv import cycles
    from shiftforge.generator.conv.plan import array_for, make_plan
    from shiftforge.generator.conv.target import generate

    board = load_board(BOARD)
    model = mobilenet_v2(terms=1)
    plan = make_plan(model, board, array_for(model, UNITS, PIXELS))
    other = mobilenet_v2(terms=2)
    two = make_plan(other, board, array_for(other, UNITS, PIXELS))
    layers = []
    for layer in plan.layers:
        tiling, own = layer.tiling, layer.instruction
        layers.append(
            {
                "name": layer.name,
                "mode": layer.mode,
                "groups": tiling.out_groups,
                "tiles": tiling.tiles,
                "iterations": layer.cycles.array,
                "words": tiling.weight_words,
                "lines": layer.cycles.memory,
                "direct": own.direct,
                "modelled": layer.cycles.modelled,
            }
        )
    image = plan.image
    blocks = cycles.loader_blocks(image, plan.image_shape[2], plan.array)
    return {
        "board": BOARD,
        "units": UNITS,
        "pixels": PIXELS,
        "terms": 1,
        "clock_mhz": board.clock_mhz_assumed,
        "modelled_cycles": plan.modelled_cycles,
        "modelled_cycles_two_terms": two.modelled_cycles,
        "image_rows": image.rows,
        "image_blocks": image.kernel * plan.image_shape[0] * blocks,
        "image_lines": plan.array.lines((image.channels, image.rows, image.columns)),
        "layers": layers,
        "channels": [{"name": c.name, "type": c.type, "depth": c.depth} for c in plan.channels],
        "text": generate(model, board, units=UNITS, pixels=PIXELS)
        .files["device/accelerator.cl"]
        .decode(),
    }


if __name__ == "__main__":
    print(json.dumps(facts(sys.argv[1])))
