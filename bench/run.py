"""All benchmarks one after the other: what ``make bench`` runs. Results go to bench/results/.

python bench/run.py [ARGUMENTS OF conv/mobilenet_224.py]
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from bench.common.machine import BENCH, RESULTS


def main() -> int:
    """Exit status: 1 where any of them failed."""
    RESULTS.mkdir(exist_ok=True)
    written = os.path.relpath(RESULTS / "mobilenet_224.json")
    times = ["conv/mobilenet_224.py", "--json", written, *sys.argv[1:]]
    failed = False
    speed = ["edgebert/cocotb_speed.py", "--json", os.path.relpath(RESULTS / "cocotb_speed.json")]
    forms = ["conv/kernel_forms.py", "--json", os.path.relpath(RESULTS / "kernel_forms.json")]
    plans = (["conv/memory_plan.py"], ["conv/array_sweep.py"], ["conv/channel_area.py"],
             ["conv/lane_area.py"])  # fmt: skip
    for script, *arguments in (*plans, forms, ["edgebert/area.py"], speed, times):
        command = [sys.executable, os.path.relpath(BENCH / script), *arguments]
        done = subprocess.run(command, check=False)
        failed |= done.returncode != 0
        print(flush=True)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
