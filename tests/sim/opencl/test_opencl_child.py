"""Jobs in children: what goes wrong there is told for what it is; memory for nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftforge.errors import InputError, ToolFailed
from shiftforge.faults import FaultError
from shiftforge.sim.opencl import build, child, memory, probe
from shiftforge.sim.opencl.build import NO_LINKER, device_text
from shiftforge.sim.opencl.child import child_environment, in_child

JOBS = """
def wrong_key(job):
    {}["kernel_size"]
def full_disk(job):
    import errno
    raise OSError(errno.ENOSPC, "No space left on device")
def no_memory(job):
    raise MemoryError
def refused(job):
    import pyopencl
    raise pyopencl.LogicError("create_buffer failed: INVALID_BUFFER_SIZE")
def environment(job):
    import os, tempfile
    return os.environ["TMPDIR"], tempfile.gettempdir()
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("wrong_key", FaultError, r"^KeyError: 'kernel_size' \(in sim/opencl/child.py:\d+\)"),
        ("full_disk", InputError, "No space left on device"),
        ("no_memory", InputError, "not enough memory"),
        ("refused", ToolFailed, "^pocl: the OpenCL runtime refused: create_buffer failed"),
    ],
)
def test_what_goes_wrong_in_a_child(
    name: str, kind: type[Exception], told: str, jobs: None, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=told) as raised:
        in_child(f"planted_jobs:{name}", None, "pocl", 60, "")
    assert "Traceback" not in str(raised.value)
    assert not list(tmp_path.glob("shiftforge-*"))


def test_temporary_files_of_a_child_lie_in_its_work_folder(jobs: None, tmp_path: Path) -> None:
    found = in_child("planted_jobs:environment", None, "pocl", 60, "")
    assert len(set(found)) == 1
    assert Path(found[0]).parent == tmp_path and not Path(found[0]).exists()


def test_a_child_needs_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.chdir(tmp_path)
    assert child_environment(tmp_path)["TMPDIR"] == str(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "no such file"), (b"", "is empty"), (b" \n", "is empty"), (b"\xff", "not UTF-8")],
)
def test_a_device_text_that_is_none(content: bytes | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "accelerator.cl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=told) as refused:
        device_text(path)
    assert "generate" in refused.value.problems[0].remedy


def test_pocl_without_a_linker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = (
        "its probe ended with status -6, killed by SIGABRT: Final linking of kernel probe failed."
    )
    monkeypatch.delenv(probe.UNUSABLE, raising=False)
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    answer: dict[str, Any] = {"found": True, "usable": False, "detail": said, "remedy": ""}
    state = probe.decide("pocl", lambda name, more: answer)
    assert NO_LINKER in state.detail and state.remedy == "install binutils"
    (tmp_path / child._ERRORS).write_text(f"{said}\n")
    assert NO_LINKER in str(child._failure(tmp_path, "pocl", -6))


@pytest.mark.parametrize("shape", [(0,), (0, 16), (3, 5)])
def test_memory_for_nothing(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer has a size above 0, whatever is in it."""
    cl = pytest.importorskip("pyopencl")
    sizes: list[int] = []

    def buffer(context: object, flags: int, size: int = 0, hostbuf: Any = None) -> None:
        sizes.append(size if hostbuf is None else hostbuf.nbytes)

    monkeypatch.setattr(cl, "Buffer", buffer)
    array = np.zeros(shape, np.uint8)
    memory.filled(None, array)
    memory.room(None, array.nbytes)
    assert sizes[0] >= max(array.nbytes, 1) and sizes[1] >= max(array.nbytes, 64)
    memory.fetch(None, np.zeros(0), None)  # copies nothing
