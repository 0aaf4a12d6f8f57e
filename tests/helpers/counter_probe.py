"""What the counters of a text hold when it runs: the smallest and largest value that is read.

The text's kernels run one by one, without what keeps of each counter the bits of its range, on
lines of zeros, as if their channels always had words and room: nothing that they count depends on
data. Before each iteration a counter is looked at where it is read (``_READ``). The child is this
file, started as a program.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from devices import use_device

from shiftforge.generator.conv.kernels import render_accelerator
from shiftforge.generator.conv.plan import Plan

_BYTES = 1 << 22
_ITERATION = {
    "loader": "loader_iterate(&s, image, ports)",
    "controller": "controller_iterate(&s, &in, fm, 0, 0, ports)",
    "conv": "conv_iterate(&s, &in, weights, rows, 0, ports)",
    "post": "post_iterate(&s, &in, records, output, ports)",
}
_LIVE = "in.mode != SF_FILL"
_WINDOW = "in.mode == SF_DEPTHWISE && s.loads != 0"
_READ = {
    "controller.address": "controller_sends(&s, &in) && controller_inside(&s, &in) && "
    "!in.from_image",
    "controller.y": "i < in.sends",
    "controller.t": "i < in.sends",
    "controller.skip_address": "controller_skips(&s, &in)",
    "controller.out_address": "controller_takes(&s, &in)",
    "controller.results.left": "s.stored < in.stores",
    "conv.take_wait": "s.take_left != 0",
    "conv.take_every": "s.take_left > 1",
    "conv.run_left": "in.groups > in.run0.groups",
    "conv.word": "conv_fires(&s, &in)",
    "conv.fires.left": _WINDOW,
    "conv.row_word": _WINDOW,
    "conv.doubled": _WINDOW,
    "conv.row_doubled": _WINDOW,
    "conv.t": _WINDOW,
    "conv.again_t": "s.again",
    "conv.after": "s.again && s.loads != 0",
    **dict.fromkeys(("conv.cycle", "conv.tile", "conv.computes"), _LIVE),
    "post.param": "s.pre == 0 && s.results != 0",
}
"""When a counter is read that is not always."""


def measured(plan: Plan, device: str) -> dict[str, tuple[int, int]]:
    """(least, most) by "kernel.counter"; of those that are never read there is none."""
    use_device(device)
    names = [f"{kernel}.{c.name}" for kernel, own in plan.counters.items() for c in own]
    words = [
        plan.packings["controller"].packed(
            [*([plan.image_pass] if plan.image_pass else []), *(s.controller for s in plan.steps)]
        ),
        plan.packings["conv"].packed([plan.fill, *(s.conv for s in plan.steps)]),
        plan.packings["post"].packed([s.post for s in plan.steps]),
    ]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "text.cl").write_text(_text(plan, names), encoding="utf-8")
        np.savez(work / "words.npz", *words)
        subprocess.run([sys.executable, __file__, device, name, str(len(names))], check=True)
        low, high = np.load(work / "seen.npy", allow_pickle=False)
    return {n: (int(a), int(b)) for n, a, b in zip(names, low, high, strict=True) if a <= b}


def _text(plan: Plan, names: list[str]) -> str:
    text = render_accelerator(plan)
    text, count = re.subn(r"(static void \w+_trim\(\w+ \*s\) \{\n).*?\n\}\n", r"\1}\n", text,
                          flags=re.DOTALL)  # fmt: skip
    assert count == len(plan.counters)
    ports = "\n".join(
        f"  port_set.{c.name} = (__global {c.type} *)fifos; port_set.{c.name}_read = 0; "
        f"port_set.{c.name}_written = 1 << 30;" for c in plan.channels
    )  # fmt: skip
    kernels = "\n".join(_kernel(kernel, names, plan) for kernel in _ITERATION)
    return f"""{text}
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void probe(__global const uint *restrict controller_program,
                    __global const uint *restrict conv_program,
                    __global const uint *restrict post_program,
                    __global const image_beat_t *restrict image,
                    __global output_beat_t *restrict output, __global uchar *restrict fifos,
                    __global int *restrict low, __global int *restrict high) {{
  ports_t port_set;
  ports_t *ports = &port_set;
  stored_line_t fm[SF_FM_LINES];
  stored_weight_t weights[2 * SF_WEIGHT_HALF];
  stored_rows_t rows[SF_ROW_LINES];
  param_word_t records[SF_GROUPS];
{ports}
{kernels}
}}
"""


def _look(n: int, name: str, read: str) -> str:
    both = ", ".join(f"{end}[{n}] = {f}({end}[{n}], s.{name})" for end, f in
                     (("low", "min"), ("high", "max")))  # fmt: skip
    return f"      if ({read}) {both};"


def _kernel(kernel: str, names: list[str], plan: Plan) -> str:
    looks = "\n".join(
        _look(n, name.removeprefix(f"{kernel}."), _READ.get(name, "1"))
        for n, name in enumerate(names) if name.startswith(f"{kernel}.")
    )  # fmt: skip
    if kernel == "loader":
        return f"""  {{
    loader_state_t s;
    loader_begin(&s);
    for (int i = 0; i < SF_IMAGE_PASSES * SF_FRAME_BEATS; ++i) {{
{looks}
      {_ITERATION[kernel]};
    }}
  }}"""
    resets = f"{kernel}_reset(&s);" if kernel != "controller" else ""
    last = ", 0" if kernel == "conv" else ""
    return f"""  {{
    {kernel}_state_t s;
    {resets}
    for (int l = 0; l < {plan.packings[kernel].count}; ++l) {{
      uint words[SF_{kernel.upper()}_WORDS];
      for (int w = 0; w < SF_{kernel.upper()}_WORDS; ++w)
        words[w] = {kernel}_program[l * SF_{kernel.upper()}_WORDS + w];
      const {kernel}_layer_t in = {kernel}_unpack(words);
      {kernel}_begin(&s, &in{last});
      for (int i = 0; i < in.iterations; ++i) {{
{looks}
        {_ITERATION[kernel]};
      }}
    }}
  }}"""


def main() -> None:
    """Runs the text of a folder."""
    import pyopencl as cl

    from shiftforge.sim.opencl.build import build_program
    from shiftforge.sim.opencl.devices import open_device
    from shiftforge.sim.opencl.memory import fetch, filled, room

    device, work, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    context = cl.Context([open_device(device)])
    text = (work / "text.cl").read_text(encoding="utf-8")
    program = build_program(context, text, ["-DSF_LOWERED"])
    with np.load(work / "words.npz", allow_pickle=False) as data:
        words = [filled(context, data[f"arr_{n}"], constant=True) for n in range(3)]
    seen = np.array([[2**31 - 1] * count, [-(2**31)] * count], np.int32)
    low, high = (filled(context, own) for own in seen)
    zeros = filled(context, np.zeros(_BYTES, np.uint8))
    queue = cl.CommandQueue(context)
    arguments = (*words, zeros, room(context, _BYTES), filled(context, np.zeros(_BYTES, np.uint8)))
    cl.Kernel(program, "probe")(queue, (1,), (1,), *arguments, low, high)
    fetch(queue, seen[0], low)
    fetch(queue, seen[1], high)
    queue.finish()
    np.save(work / "seen.npy", seen)


if __name__ == "__main__":
    main()
