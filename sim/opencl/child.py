"""A job in a child process that uses OpenCL: time-limited, and its failures told apart.

A child, because an OpenCL runtime can abort or hang the process it lives in (and the emulator's
kernels stop only with it), and because the runtimes must be found before a process's first OpenCL
call. Every run on a device goes through ``in_child``; the child is this module, started as
``python -m shiftforge.sim.opencl.child MODULE:FUNCTION FOLDER``.

Everything that a run writes lies in its work folder, the runtimes' temporary files included.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed
from shiftforge.faults import FaultError, fault_text, refusal_of
from shiftforge.scratch import check_room, work_folder
from shiftforge.sim.opencl.build import NO_LINKER, lacks_linker
from shiftforge.sim.opencl.devices import SCRATCH

__all__ = [
    "Progress",
    "child_environment",
    "end_with_parent",
    "ended_with",
    "in_child",
    "tell_progress",
]

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

_JOB, _RESULT, _FAILURE, _ERRORS = "job.pickle", "result.pickle", "failure.json", "stderr.txt"
_PATH = "path.json"
_TOLD = 2000  # characters of what a crashed child said
_PR_SET_PDEATHSIG = 1
_PARENT = "SHIFTFORGE_PARENT"


def in_child(
    function: str,
    job: Any,
    device: str,
    time_limit_s: float,
    remedy: str,
    progress: Progress | None = None,
) -> Any:
    """What a function makes of a job on a device, in a child process.

    function: "package.module:name", of one argument; job and result must pickle. remedy: for a run
    past the limit. Raises ToolFailed where the child crashes, takes longer or its compiler refuses
    the text; CheckFailed and InputError where the function raises them; FaultError for what else it
    raises.
    """
    with work_folder("run") as work:
        (work / _PATH).write_text(json.dumps([entry for entry in sys.path if entry]))
        (work / _JOB).write_bytes(pickle.dumps(job))
        _run(function, work, device, time_limit_s, remedy, progress)
        return pickle.loads((work / _RESULT).read_bytes())


def child_environment(work: Path) -> dict[str, str]:
    """The environment of a child: what its runtimes leave behind goes with the work folder."""
    # What is worth keeping is kept by ``programs``; pyopencl's own cache has no bound.
    caches = {"POCL_CACHE_DIR": str(work / "pocl"), "PYOPENCL_NO_CACHE": "1"}
    own = {SCRATCH: str(work), "TMPDIR": str(work), _PARENT: str(os.getpid())}
    return {**caches, **os.environ, **own}


def end_with_parent() -> None:
    """From inside the child: do not outlive the process that waits for the result (Linux)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    except (AttributeError, OSError):
        return
    if os.environ.get(_PARENT, str(os.getppid())) != str(os.getppid()):
        os._exit(1)  # it was gone before


def tell_progress(done: int, total: int) -> None:
    """From inside the child: so many samples are done."""
    print("frames", done, total, flush=True)


def _run(
    function: str, work: Path, device: str, limit: float, remedy: str, progress: Progress | None
) -> None:
    # -P: modules in the current folder are the user's.
    command = [sys.executable, "-P", "-m", __name__, function, str(work)]
    with (work / _ERRORS).open("w", encoding="utf-8") as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=child_environment(work),
        )
        reader = threading.Thread(target=_follow, args=(child, device, progress), daemon=True)
        reader.start()
        try:
            child.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            raise ToolFailed(f"{device}: no result within {limit:g} seconds ({remedy})") from None
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            reader.join(timeout=5)
    if child.returncode != 0:
        check_room(work)
        raise _failure(work, device, child.returncode)


def _follow(child: subprocess.Popen[str], device: str, progress: Progress | None) -> None:
    for line in child.stdout or ():
        words = line.split()
        if progress is not None and len(words) == 3 and words[0] == "frames":
            progress(device, int(words[1]), int(words[2]))


def _failure(work: Path, device: str, code: int) -> Exception:
    """What the child left behind: a checked message, a user's mistake, or a crash."""
    path = work / _FAILURE
    if path.is_file():
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["kind"] == "input":
            return InputError([Problem(**p) for p in data["problems"]])
        if data["kind"] == "fault":
            fault = FaultError(data["message"])
            fault.add_note(data["traceback"])
            return fault
        kind = ToolFailed if data["kind"] == "tool" else CheckFailed
        return kind(f"{device}: {data['message']}")
    told = (work / _ERRORS).read_text(encoding="utf-8", errors="replace")
    tail = told if len(told) <= _TOLD else told[-_TOLD:].partition("\n")[2]
    if lacks_linker(tail):
        return ToolFailed(f"{device}: {NO_LINKER}: install binutils")
    return ToolFailed(f"{device}: the run ended with {ended_with(code)}\n{tail}".rstrip())


def ended_with(code: int) -> str:
    """How a process ended, a signal by its name."""
    if code >= 0:
        return f"status {code}"
    try:
        return f"status {code}, killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"status {code}"


def _do(function: str, work: Path) -> dict[str, Any]:
    """Do the job; {} or what went wrong."""
    module, _, name = function.partition(":")
    try:
        job = pickle.loads((work / _JOB).read_bytes())
        result = getattr(importlib.import_module(module), name)(job)
        (work / _RESULT).write_bytes(pickle.dumps(result))
    except InputError as error:
        return {"kind": "input", "problems": [asdict(p) for p in error.problems]}
    except CheckFailed as error:
        return {"kind": "check", "message": str(error)}
    except ToolFailed as error:
        return {"kind": "tool", "message": str(error)}
    except Exception as error:
        return _unexpected(error)
    return {}


def _unexpected(error: Exception) -> dict[str, Any]:
    """What the runtime refuses, what the system refuses, or a fault of ours."""
    problems = refusal_of(error)
    if problems is not None:
        return {"kind": "input", "problems": [asdict(p) for p in problems]}
    if type(error).__module__.partition(".")[0] == "pyopencl":
        return {"kind": "tool", "message": f"the OpenCL runtime refused: {error}"}
    shown = "".join(traceback.format_exception(error))
    return {"kind": "fault", "message": fault_text(error), "traceback": shown}


def main() -> None:
    """The child; its exit status is 0 only where the result is complete."""
    warnings.filterwarnings("ignore")
    end_with_parent()
    work = Path(sys.argv[2])
    # What the parent can import, the child can.
    sys.path[:] = json.loads((work / _PATH).read_text())
    wrong = _do(sys.argv[1], work)
    if wrong:
        (work / _FAILURE).write_text(json.dumps(wrong), encoding="utf-8")
    sys.stdout.flush()
    # The Intel runtimes can abort in their exit handlers, and kernels that hang end only with the
    # process; the results are written.
    os._exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
