"""Seconds until a command of an unchanged design has ended, the first time and the next ones.

    python bench/daily_speed.py [--again N] [--network SOURCE] [--json FILE] [--frames] [--hls4ml]

Every command is a process of its own with a cache folder that is empty at the beginning, so that
the first time makes what the next ones find. With --frames bench/conv/mobilenet_224.py follows:
milliseconds a frame of MobileNetV2 at 224x224 beside PyTorch and ONNX Runtime in one run; with
--hls4ml bench/conv/against_hls4ml.py: rates beside hls4ml's C++ emulation in one run. Each run adds
a line to results/daily_speed.jsonl and is printed beside the last one of the same processor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from bench.common.machine import (
    BENCH,
    RESULTS,
    command_line,
    load,
    machine,
    print_table,
    usable_devices,
)
from bench.common.records import write_json, write_whole

HISTORY = RESULTS / "daily_speed.jsonl"
LIMIT_S = 3.0
PYTORCH_LIMITS = {"pocl": 3.0, "intel-cpu": 4.0, "intel-fpga-emu": 10.0}
"""Times PyTorch's fastest frame."""
NETWORK, BOARD, TEXTS = "mobilenet_v2_random:1.0:224", "a10gx1150", "albert-random:8x32x2x64"


def shiftforge(folder: Path, *arguments: str) -> float:
    """Seconds of a command; ends the script where it fails."""
    command = [sys.executable, "-m", "shiftforge", *arguments]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: status {done.returncode}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def commands(folder: Path, devices: tuple[str, ...]) -> dict[str, list[str]]:
    """What is timed, by name."""
    found = {
        "generate": ["generate", "model.safetensors", "--board", BOARD, "--units", "16",
                     "--pixels", "7", "-o", "design", "--json"],
    }  # fmt: skip
    for device in devices:
        found[f"emulate, {device}"] = [
            "emulate", "design", "--device", device, "--input", "random:0", "--limit", "1", "--json"
        ]  # fmt: skip
    found["report"] = ["report", "design", "-o", str(folder / "page.html")]
    found["cosim"] = ["cosim", "texts", "--input", "random:0", "--limit", "1", "--json"]
    return found


def measured(folder: Path, network: str, again: int) -> dict[str, dict[str, Any]]:
    """Seconds of each command: the first time, and those after it."""
    (folder / "cache").mkdir()
    print(f"quantising {network} ...", flush=True)
    shiftforge(folder, "quantize", network, "--terms", "1", "--first-last", "same",
               "-o", "model.safetensors")  # fmt: skip
    shiftforge(folder, "quantize", TEXTS, "-o", "texts.safetensors")
    shiftforge(folder, "generate", "texts.safetensors", "--board", BOARD, "-o", "texts")
    found = {}
    for name, command in commands(folder, usable_devices()).items():
        print(f"{name} ...", flush=True)
        times = [shiftforge(folder, *command) for _ in range(1 + again)]
        found[name] = {"first": times[0], "again": times[1:]}
    return found


def facts_of(script: str) -> dict[str, Any]:
    """What another bench writes."""
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        path = Path(name) / "facts.json"
        command = [sys.executable, str(BENCH / script), "--json", str(path)]
        subprocess.run(command, check=True)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def frames() -> dict[str, Any]:
    """Milliseconds a frame of each device, and its ratio to PyTorch's fastest at batch 1."""
    facts = facts_of("conv/mobilenet_224.py")
    own = facts["float_seconds_per_frame"]
    best = min(
        statistics.median(v) for k, v in own.items() if k.startswith("PyTorch fp32, batch 1")
    )
    return {
        device: {"ms": statistics.median(r["seconds_per_frame"] for r in runs) * 1e3,
                 "pytorch": statistics.median(r["seconds_per_frame"] for r in runs) / best}
        for device, runs in facts["emulate"].items()
    }  # fmt: skip


def before(processor: str) -> Mapping[str, Any] | None:
    """The last run on the same processor."""
    lines = HISTORY.read_text(encoding="utf-8").splitlines() if HISTORY.is_file() else []
    runs = [json.loads(line) for line in lines]
    same = [run for run in runs if run["machine"]["processor"] == processor]
    return same[-1] if same else None


def commit() -> str:
    """Of the checkout, with a mark where it was changed."""
    done = subprocess.run(
        ["git", "-C", str(BENCH), "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip()


def report(facts: dict[str, Any], last: Mapping[str, Any] | None) -> None:
    """Print the figures, and what changed since the last run."""
    rows = []
    for name, own in facts["commands"].items():
        middle = statistics.median(own["again"])
        old = "" if last is None or name not in last["commands"] else (
            f"{middle / statistics.median(last['commands'][name]['again']):.2f}"
        )  # fmt: skip
        verdict = "PASS" if middle <= LIMIT_S else "MISS"
        rows.append([name, f"{own['first']:.1f}", f"{middle:.2f}", f"{max(own['again']):.2f}",
                     f"<= {LIMIT_S:g} s", verdict, old])  # fmt: skip
    print_table(["command", "first s", "again s", "longest", "", "", "x last run"], rows)
    before = {} if last is None else last.get("frames", {})
    rows = []
    for device, own in facts.get("frames", {}).items():
        limit, old = PYTORCH_LIMITS[device], before.get(device)
        rows.append([device, f"{own['ms']:.1f}", f"{own['pytorch']:.1f}", f"<= {limit:g} x",
                     "PASS" if own["pytorch"] <= limit else "MISS",
                     "" if old is None else f"{own['pytorch'] / old['pytorch']:.2f}"])  # fmt: skip
    if rows:
        print_table(["", "ms a frame", "x PyTorch", "", "", "x last run"], rows)


def main() -> int:
    """Exit status 0; a command that fails ends the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--again", type=int, default=3, help="times after the first")
    parser.add_argument("--network", default=NETWORK)
    parser.add_argument("--frames", action="store_true", help="milliseconds a frame, too")
    parser.add_argument("--hls4ml", action="store_true", help="rates beside hls4ml's, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    arguments = parser.parse_args()
    if arguments.again < 1:
        parser.error("at least once again")
    facts: dict[str, Any] = {
        "command": command_line(), "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(), "machine": machine(), "load": load(), "network": arguments.network,
    }  # fmt: skip
    last = before(facts["machine"]["processor"])
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        facts["commands"] = measured(Path(name), arguments.network, arguments.again)
    if arguments.frames:
        facts["frames"] = frames()
    if arguments.hls4ml:
        facts["hls4ml"] = facts_of("conv/against_hls4ml.py")["ratios"]
    report(facts, last)
    kept = HISTORY.read_text(encoding="utf-8") if HISTORY.is_file() else ""
    write_whole(HISTORY, kept + json.dumps(facts) + "\n")
    if arguments.json is not None:
        write_json(arguments.json, facts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
