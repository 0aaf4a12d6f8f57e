"""Well-known networks at their usual resolutions, from torch to counted cycles: one table.

    python bench/conv/proof_table.py [NETWORK ...] [--report] [--again] [--folder build/proof]

Each network of ``proof_networks/catalogue.py`` is captured, quantised with one-term weights,
exported, planned for the smallest board that has room, run with every stored map compared on a
lowered device and on the emulator, and its cycles are counted. Weights are random: no figure is
an accuracy. Stages keep records in the folder: what was broken off goes on, and a stage runs again
where its record is deleted. Rows are written as they are done, failures with their reason.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import RESULTS
from bench.common.records import Record, write_json, write_whole
from bench.conv.proof.report import report, row
from bench.conv.proof.runs import Proofs, Stage
from bench.conv.proof_networks.catalogue import NETWORKS

__all__ = ["main"]

_FOLDER = Path(__file__).parents[2] / "build" / "proof"


def main() -> int:
    """Exit status: 1 where an integer or a float value was wrong, or a stage failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="all unless given")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="of records and designs")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="of the table")
    parser.add_argument("--report", action="store_true", help="run nothing, write the table")
    parser.add_argument("--again", action="store_true", help="run what failed once more")
    parser.add_argument("--limit", type=float, default=3600.0, metavar="S", help="of a stage")
    wanted = parser.parse_args()
    unknown = sorted(set(wanted.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"no network {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    proofs = Proofs(wanted.folder, wanted.limit, told=_say, again=wanted.again)
    for network in wanted.networks or NETWORKS:
        if not wanted.report:
            proofs.prove(network)
        rows = _write(proofs, wanted.out)
    return int(any(own["faults"] for own in rows))


def _say(stage: Stage) -> None:
    print(f"{stage.network}: {stage.name} {stage.argument}".rstrip(), flush=True)


def _write(proofs: Proofs, out: Path) -> list[Record]:
    rows = [row(name, proofs.prove(name, only_known=True)) for name in NETWORKS]
    write_json(out / "proof_networks.json", rows)
    write_whole(out / "proof_networks.md", report(rows))
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
