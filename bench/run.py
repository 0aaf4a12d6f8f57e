"""All benchmarks one after the other: what ``make bench`` runs. Results go to bench/results/.

python bench/run.py [ARGUMENTS OF mobilenet_224.py]
"""

from __future__ import annotations

import os
import subprocess
import sys

from machine import BENCH
from pictures import RESULTS


def main() -> int:
    """Exit status: 1 where any of them failed."""
    RESULTS.mkdir(exist_ok=True)
    written = os.path.relpath(RESULTS / "mobilenet_224.json")
    times = ["mobilenet_224.py", "--json", written, *sys.argv[1:]]
    failed = False
    speed = ["cocotb_speed.py", "--json", os.path.relpath(RESULTS / "cocotb_speed.json")]
    area = ["edgebert_area.py"]
    for script, *arguments in (["memory_plan.py"], ["array_sweep.py"], area, speed, times):
        command = [sys.executable, os.path.relpath(BENCH / script), *arguments]
        done = subprocess.run(command, check=False)
        failed |= done.returncode != 0
        print(flush=True)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
