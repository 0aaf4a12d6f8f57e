"""The host program of an image network: run on the folder alone, and given what it cannot use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conv_chains import chain
from host_program import (
    BOARD,
    EMULATED,
    EMULATOR,
    LEGACY,
    ON_BOARD,
    POCL,
    FakeDevice,
    FakePlatform,
    call,
    load_host,
    refused,
    run_host,
)
from move_cases import heads
from PIL import Image
from random_networks import random_frames, random_network
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.image import pack_image
from shiftforge.generator.conv.manifest import read_conv_manifest
from shiftforge.generator.conv.target import generate
from shiftforge.generator.manifest import read_manifest
from shiftforge.quant.data.given import given_frames
from shiftforge.quant.data.inputs import to_codes
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.golden.conv.network import run_golden

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return random_model(1, ModelOptions(height=14, width=13))


@pytest.fixture
def project(generated: Callable[..., Path], model: QuantizedModel, tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    shutil.copytree(generated(model, 16, 7), folder)
    return folder


@pytest.fixture
def refuses(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refused:
    """refuses(*options) -> the line that a command line is refused with, on the fake emulator."""

    def ask(*options: str) -> str:
        host = load_host(project, monkeypatch, [EMULATED])
        return refused(host, monkeypatch, capfd, "--source", *options)

    return ask


# Some end in 32-bit results, one pixel or tiles of several, others in stored lines; all images are
# padded. Units, pixels and frames in flight: the last batch is not full where these are several.
NETWORKS = {
    "direct": (lambda: random_model(1, ModelOptions(height=14, width=13)), (16, 7, 1)),
    "lines": (lambda: random_network(4, layers=4, sides=(9, 20), orders=True), (16, 7, 1)),
    "direct, several tiles": (lambda: wide_output(), (24, 4, 3)),
    "direct, two heads": (lambda: heads(), (16, 4, 2)),
    "lines of three frames": (
        lambda: random_network(4, layers=4, sides=(9, 20), orders=True), (16, 3, 3)
    ),
}  # fmt: skip


def wide_output() -> QuantizedModel:
    """A map of 32-bit results, whose rows have two whole tiles of four pixels and a part of one."""
    return chain(
        {"out": 40, "kernel": 3, "padding": (1, 1, 1, 1)},
        {"out": 30, "kernel": 1, "wide": True},
        channels=3, height=5, width=10,
    )  # fmt: skip


@pytest.mark.device("intel-fpga-emu")
@pytest.mark.parametrize("ending", NETWORKS)
def test_codes_are_those_of_the_reference(
    ending: str, generated: Callable[..., Path], tmp_path: Path
) -> None:
    make, array = NETWORKS[ending]
    model = make()
    assert (model.tensors[model.output].grid.bits == 32) == ending.startswith("direct")
    project = generated(model, *array)
    rule = model.preprocess
    shape = (2, rule.height, rule.width, rule.channels)
    images = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    out = tmp_path / "out.npy"
    done = run_host(
        project, "--input", str(tmp_path / "images.npy"), "--output", str(out),
        icd=tmp_path / "icd",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    codes = to_codes(given_frames(images, rule).images, rule, model.tensors[model.input].grid)
    golden = run_golden(model, codes)
    for number, name in enumerate(model.outputs, 1):
        path = out if number == 1 else tmp_path / f"out.{number}.npy"
        assert np.array_equal(np.load(path).reshape(golden[name].shape), golden[name])
    # The runtime has a line of its own about processors that it does not know.
    told = [line for line in done.stderr.splitlines() if not line.startswith("SYCL CPU RT")]
    assert "frame 1: class" in done.stdout and not told
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("seed", thinned(range(6), 2))
def test_the_image_is_packed_as_the_emulators_runtime_packs_it(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels up to 7, strides and paddings of all kinds, up to three frames in flight."""
    model = random_network(seed, layers=3)
    project = tmp_path / "project"
    board, flight = load_board("s10gx2800"), 1 + seed % 3
    generate(model, board, units=16, pixels=7, frames=flight).write(project)
    host, codes = load_host(project, monkeypatch), random_frames(model, seed)
    design = host.load_design()
    manifest = read_conv_manifest(project, read_manifest(project))
    found = host.packed(codes, design["layout"])
    assert found.tobytes() == pack_image(codes, manifest.layout).tobytes()


@pytest.mark.parametrize(
    ("options", "platforms", "told"),
    [
        (["--source"], [POCL, EMULATED, ON_BOARD], EMULATED.devices[0].name),
        (["--aocx", "x"], [EMULATED, POCL, ON_BOARD], ON_BOARD.devices[0].name),
        (["--aocx", "x"], [EMULATED], f"no OpenCL platform is called '{BOARD}'; there are 0: "),
        (["--source"], [ON_BOARD], f"no OpenCL platform is called '{EMULATOR}'; there are 0: "),
        (["--aocx", "x"], [LEGACY], "is an emulator, no board"),
        (["--aocx", "x", "--platform", BOARD], [LEGACY], LEGACY.devices[0].name),
        (["--aocx", "x", "--platform", EMULATOR], [ON_BOARD, EMULATED], EMULATED.devices[0].name),
        (["--aocx", "x"], [], "there are none"),
        (["--aocx", "x"], [ON_BOARD, ON_BOARD], "2 OpenCL platforms are called"),
        (["--aocx", "x", "--platform", "Intel(R) FPGA"], [ON_BOARD, EMULATED], "2 OpenCL plat"),
        (
            ["--aocx", "x", "--platform", "emulation"],
            [ON_BOARD, EMULATED],
            EMULATED.devices[0].name,
        ),
        (["--source", "--platform", "1"], [POCL, EMULATED], EMULATED.devices[0].name),
        (["--source", "--platform", "7"], [POCL], "there are 0: Portable"),
        (["--source", "--platform", ""], [POCL], "there are 0: Portable"),
        (["--source", "--device", "1"], [EMULATED], "there are 0: Intel(R) FPGA Emulation Device"),
    ],
)
def test_the_device_is_told_by_its_whole_name(
    options: list[str],
    platforms: list[FakePlatform],
    told: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    host = load_host(project, monkeypatch, platforms)

    def opened(devices: list[FakeDevice]) -> None:
        raise host.Refused(f"opened {devices[0].name}", "nothing")

    monkeypatch.setattr(host.cl, "Context", opened)
    line = refused(host, monkeypatch, capfd, *options, "--input", "random:0")
    assert told in line and ("opened" in line) == any(told == p.devices[0].name for p in platforms)


def test_of_several_boards_one_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    two = FakePlatform(BOARD, (FakeDevice("pac_a10 : (ec0)"), FakeDevice("pac_a10 : (ec1)")))
    host = load_host(project, monkeypatch, [two])
    monkeypatch.setattr(host.cl, "Context", lambda devices: pytest.fail(str(devices)))
    line = refused(host, monkeypatch, capfd, "--aocx", "x", "--input", "random:0")
    assert "0: pac_a10 : (ec0); 1: pac_a10 : (ec1)" in line and "--device" in line


def claims(path: Path, shape: str, kind: str = "|u1") -> None:
    """An .npy file that says more than it holds."""
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"x")


def test_arrays_that_are_no_frames_are_refused(refuses: Refused, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    good = np.zeros((1, 14, 13, 3), np.uint8)
    for wrong in (
        good[0], good[:0], good[:, 1:], good.astype(np.float32), good.astype(np.int64),
        good.astype(bool), np.full((1, 3, 14, 13), 300), np.full((1, 3, 14, 13), np.nan),
        np.array([None]), np.zeros(3, [("a", "i4")]),
    ):  # fmt: skip
        np.save(path, wrong, allow_pickle=True)
        assert "a.npy" in refuses("--input", str(path))
    for shape in ("(1152921504606846976,)", f"({1 << 40}, 14, 13, 3)", f"({10**30}, 3)", "(-1, 3)"):
        claims(path, shape)
        started = time.perf_counter()
        assert "a.npy" in refuses("--input", str(path))
        assert time.perf_counter() - started < 2
    claims(path, "(1, 14, 13, 3)", "|O")
    assert "a.npy" in refuses("--input", str(path))
    for content in (b"", b"\x93NUMPY", b"\x80\x04.", b"PK\x03\x04", os.urandom(200)):
        path.write_bytes(content)
        assert "a.npy" in refuses("--input", str(path))
    np.savez(tmp_path / "b", good)
    (tmp_path / "b.npz").rename(path)
    assert "a.npy" in refuses("--input", str(path))
    path.unlink()
    os.mkfifo(path)
    assert "regular" in refuses("--input", str(path))


def test_inputs_that_are_no_pictures_are_refused(refuses: Refused, tmp_path: Path) -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    (tmp_path / "eps.png").write_bytes(eps)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "good.png")
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "deep.png")
    cut = (tmp_path / "good.png").read_bytes()[:-30]
    (tmp_path / "cut.png").write_bytes(cut)
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("eps.png", "deep.png", "cut.png", "pipe.png", "none.png", "", "x" * 300):
        assert "->" in refuses("--input", str(tmp_path / name))
    for name in ("random:", "random:-1", "random:x", "random:1.5", f"random:{'9' * 5000}", ""):
        refuses("--input", name)
    for name in (str(tmp_path), str(tmp_path / "a/b"), str(tmp_path / ("a" * 300)), ""):
        assert "--output" in refuses("--input", "random:0", "--output", name)


@pytest.mark.parametrize("name", ["weights", "rests", "params"])
@pytest.mark.parametrize("fault", ["short", "long", "empty", "gone", "pipe", "folder"])
def test_damaged_data_are_refused(name: str, fault: str, project: Path, refuses: Refused) -> None:
    path = project / f"data/{name}.bin"
    content = path.read_bytes()
    path.unlink()
    if fault == "pipe":
        os.mkfifo(path)
    elif fault == "folder":
        path.mkdir()
    elif fault != "gone":
        path.write_bytes({"short": content[:-1], "long": content + b"1", "empty": b""}[fault])
    assert "generate the project again" in refuses("--input", "random:0")


LAYOUT = {
    "channels": 3, "kernel": 3, "stride": 2, "top": 0, "left": 0, "map_rows": 7, "pixels": 7,
    "word": 16, "beats": 1,
}  # fmt: skip
DAMAGES: tuple[tuple[str, object], ...] = (
    ("image", [3, 14]), ("image", [3, 0, 13]), ("image", [3, 14, 10**30]), ("image", "3"),
    ("units", -1), ("units", True), ("pixels", 1.5), ("labels", [1]), ("labels", {}),
    ("preprocess", []), ("preprocess", {"mean": [0], "std": [0], "exponent": 0, "range": [0, 1]}),
    ("preprocess", {"mean": [0] * 7, "std": [1], "exponent": 0, "range": [0, 1]}),
    ("preprocess", {"mean": [0], "std": [1], "exponent": 10**9, "range": [0, 1]}),
    ("preprocess", {"mean": [0], "std": [1], "exponent": 0, "range": [0, 1], "resize": {
        "kind": "edge", "sides": [], "filter": "box", "alpha": "drop", "centre": "down"}}),
    ("output", None), ("output", {}), ("layout", None), ("layout", {}),
    ("layout", {**LAYOUT, "word": 48}), ("layout", {**LAYOUT, "word": 1 << 20}),
    ("layout", {**LAYOUT, "channels": 4}), ("layout", {**LAYOUT, "top": -1}),
    ("layout", {**LAYOUT, "left": 9}), ("layout", {**LAYOUT, "beats": 0}),
    ("layout", {**LAYOUT, "map_rows": 1 << 20}),
)  # fmt: skip


@pytest.mark.parametrize("place", range(len(DAMAGES)))
def test_a_damaged_manifest_is_refused(place: int, project: Path, refuses: Refused) -> None:
    path = project / "shiftforge.json"
    manifest = json.loads(path.read_text())
    name, value = DAMAGES[place]
    path.write_text(json.dumps({**manifest, name: value}))
    assert "manifest" in refuses("--input", "random:0")
    path.write_text(json.dumps({k: v for k, v in manifest.items() if k != name}))
    assert "manifest" in refuses("--input", "random:0")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b"9" * 5000, None])
def test_what_is_no_manifest_is_refused(
    content: bytes | None, project: Path, refuses: Refused
) -> None:
    path = project / "shiftforge.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    refuses("--input", "random:0")


def fails(host: ModuleType, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Choosing a device raises the error."""

    def choose(args: object) -> None:
        raise error

    monkeypatch.setattr(host, "choose_device", choose)


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), 2), (ZeroDivisionError("a\nb"), 3), (OSError(28, "No space left"), 3)],
)
def test_what_goes_wrong_is_one_line(
    error: Exception,
    code: int,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    host = load_host(project, monkeypatch)
    fails(host, monkeypatch, error)
    assert call(host, monkeypatch, "--source", "--input", "random:0") == code
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_runtime_that_fails_is_no_input_of_ours(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    host = load_host(project, monkeypatch)
    fails(host, monkeypatch, host.cl.RuntimeError("clFinish", -36, "hung"))
    assert call(host, monkeypatch, "--source", "--input", "random:0") == 3
    err = capfd.readouterr().err
    assert err.startswith("host.py: the runtime failed: ") and len(err.splitlines()) == 1


@pytest.mark.device("pocl")
def test_a_device_without_channels_and_a_binary_of_nobody_are_refused(
    project: Path, tmp_path: Path
) -> None:
    done = run_host(project, "--platform", "Portable", "--input", "random:0")
    assert done.returncode == 2 and "has no channels" in done.stderr
    junk = tmp_path / "junk.aocx"
    junk.write_bytes(b"\x7fELF" + bytes(900))
    command = [sys.executable, "-I", "host/host.py", "--platform", "0", "--input", "random:0"]
    for path, told in ((junk, "is no binary for"), (tmp_path / "none", "cannot be read")):
        own = [*command, "--aocx", str(path)]
        found = subprocess.run(own, cwd=project, capture_output=True, text=True, timeout=60)
        assert found.returncode == 2 and told in found.stderr and "aoc -board=" in found.stderr
        assert len(found.stderr.splitlines()) == 1


def test_without_pyopencl_it_says_what_to_install(project: Path, tmp_path: Path) -> None:
    (tmp_path / "pyopencl.py").write_text("raise ImportError('libOpenCL.so.1: no\\nsuch file')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "host/host.py", "--source", "--input", "random:0"]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and done.stderr.endswith("-> pip install numpy pyopencl\n")
    assert len(done.stderr.splitlines()) == 1


WAITING = """
import runpy, sys, time
import pyopencl as cl
def wait():
    print("waiting", flush=True)
    time.sleep(60)
cl.get_platforms = wait
sys.argv = ["host.py", "--source", "--input", "random:0"]
runpy.run_path("host/host.py", run_name="__main__")
"""


def test_an_interrupt_ends_it_while_the_runtime_is_waited_for(project: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WAITING], cwd=project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None and child.stdout.readline() == "waiting\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (130, "host.py: interrupted\n")


@pytest.mark.parametrize(("target", "code"), [("closed pipe", 0), ("/dev/full", 3), ("closed", 0)])
def test_a_reader_that_leaves_and_a_full_disk(target: str, code: int, project: Path) -> None:
    text = (
        "import runpy, sys\n"
        "own = runpy.run_path('host/host.py')\n"
        "sys.exit(own['work'](lambda args: print('x' * 99999) or 0, None))\n"
    )
    shell = {
        "closed pipe": '"$@" | true; exit ${PIPESTATUS[0]}',
        "/dev/full": '"$@" > /dev/full',
        "closed": '"$@" >&-',
    }[target]
    command = ["bash", "-c", shell, "bash", sys.executable, "-c", text]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == (1 if code else 0), done.stderr
