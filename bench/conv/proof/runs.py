"""Stages run one by one, each kept as a record, so that what was broken off goes on."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.common.records import Record, Records
from bench.conv.proof.stages import MODEL, project_folder

__all__ = ["BOARDS", "DEVICES", "Proofs", "Stage", "run_stage"]

BOARDS = ("de10_nano", "a10gx1150", "s10gx2800")
"""From the smallest on; de5a_net has a10gx1150's device."""
DEVICES = ("pocl", "intel-fpga-emu")
_STAGES = Path(__file__).with_name("stages.py")
_TOLD = 600


@dataclass(frozen=True)
class Stage:
    """Of a network. name: of ``STAGES``. argument: a board, or board:device. made_from: digest of
    the file that it begins with."""

    network: str
    name: str
    argument: str = ""
    made_from: str = ""

    @property
    def key(self) -> str:
        """Of its record, without what it was made from."""
        return "-".join(x for x in (self.network, self.name, self.argument.replace(":", "-")) if x)


def run_stage(stage: Stage, folder: Path, limit_s: float) -> Record:
    """What the stage finds in a process of its own; where it fails, ``failed`` says why."""
    words = [stage.name, stage.network, str(folder), *([stage.argument] if stage.argument else [])]
    command = [sys.executable, str(_STAGES), *words]
    log = folder / f"{stage.key}.log"
    with log.open("w") as told:
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=told, text=True, timeout=limit_s,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {"failed": f"ran longer than {limit_s:,.0f} s"}
    if done.returncode == 0:
        found: Record = json.loads(done.stdout.splitlines()[-1])
        return found
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "said nothing")
    return {"failed": f"status {done.returncode}: {last[:_TOLD]}"}


@dataclass(frozen=True)
class Proofs:
    """Proofs in a folder: records/ has a record a stage, and each network a folder of its own.

    limit_s: of a stage. run: makes a record of a stage in its network's folder. told: called with
    every stage before it runs. again: stages that failed run once more.
    """

    folder: Path
    limit_s: float = 3600.0
    run: Callable[[Stage, Path, float], Record] = run_stage
    told: Callable[[Stage], None] = lambda stage: None
    again: bool = False

    @property
    def records(self) -> Records[Stage]:
        """One file a stage, which is current where it begins with the same file."""
        return Records(
            self.folder / "records",
            lambda stage: stage.key,
            lambda stage, found, _: bool(found.get("made_from") == stage.made_from),
        )

    def prove(self, network: str, *, only_known: bool = False) -> dict[str, Record]:
        """The records of a network's stages by name (``run`` by "run DEVICE"), ``plans`` by board.

        Stages behind one that failed are missing. only_known: nothing runs.
        """
        found: dict[str, Record] = {}

        def do(name: str, argument: str = "", made_from: str = "") -> Record:
            stage = Stage(network, name, argument, made_from)
            record = self.records.read(stage)
            missing = record is None or (self.again and "failed" in record)
            if missing and not only_known:
                self.told(stage)
                folder = self.folder / network
                folder.mkdir(parents=True, exist_ok=True)
                record = {"made_from": made_from, **self.run(stage, folder, self.limit_s)}
                self.records.write(stage, record)
            return {"failed": "not run"} if record is None else record

        found["float"] = do("float")
        found["quantised"] = do("quantised")
        if "failed" in found["quantised"]:
            return found
        model = _digest(self.folder / network / MODEL)
        found["plans"] = {}
        board = ""
        for board in BOARDS:
            plan = found["plans"][board] = do("planned", board, model)
            if not plan.get("failed") and not plan["refused"]:
                break
        else:
            board = ""
        if board:
            project = project_folder(self.folder / network, board)
            design = _digest(project / "shiftforge.json")
            found["run pocl"] = do("run", f"{board}:pocl", design)
            found["clocked"] = do("clocked", board, design)
            found["run intel-fpga-emu"] = do("run", f"{board}:intel-fpga-emu", design)
        found["exported"] = do("exported", "", model)
        return found


def _digest(path: Path) -> str:
    """SHA-256 of a file, in short; empty where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
