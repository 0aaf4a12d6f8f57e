"""Thousands of damaged inputs: each ends in success or a refusal, soon and in little memory.

Every input is run as a command line, in a fork of a process that has imported everything. A refusal
takes less than 2 s of processor time and at most the input's size and 500 MB; it names problems on
stderr, prints no traceback, writes nothing and leaves nothing in TMPDIR.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from albert_projects import save_network, save_trained
from aoc_reports import FORMS, Kernel, Row, project, script
from fork_server import TRACEBACK, Forks, Outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import (
    content,
    damaged_bytes,
    damaged_json,
    damaged_safetensors,
    odd_place,
)
from PIL import Image
from random_networks import random_orders, with_random_variants
from torchvision_state import torchvision_state

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.target import generate
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.file import save_model

pytestmark = pytest.mark.slow

REFUSAL_S = 2.0
REFUSAL_BYTES = 500_000_000
BOARD = Path(__file__).parents[2] / "boards/a10gx1150.toml"


def fault(outcome: Outcome, size: int, codes: tuple[int, ...] = (0, 2)) -> str:
    """What is wrong with how a run ended; empty where nothing is. size: of the input, in bytes."""
    if outcome.code not in codes:
        return f"exit code {outcome.code}"
    if "Traceback" in outcome.err:
        return "a traceback"
    if outcome.code != 2:
        return ""
    if "error: " not in outcome.err and "Error: " not in outcome.err:
        return "a refusal without a problem"
    if outcome.cpu_s > REFUSAL_S:
        return f"a refusal after {outcome.cpu_s:.1f} s"
    if outcome.grown > size + REFUSAL_BYTES:
        return f"a refusal in {outcome.grown:,} bytes"
    return ""


class Bench:
    """Good inputs in a folder, and a server that runs commands on damaged copies."""

    def __init__(self, folder: Path) -> None:
        self.good = folder / "good"
        self.good.mkdir()
        plain = random_model(6, ModelOptions(height=12, width=11))
        ordered = replace(plain, orders=random_orders(plain, 0))
        model = with_random_variants(ordered, 0, (0.0, 0.3), 0.1)
        save_model(model, self.good / "conv.safetensors")
        save_network(self.good / "text.safetensors")
        shutil.copy(BOARD, self.good / "board.toml")
        generate(model, load_board("a10gx1150")).write(self.good / "conv")
        (self.good / "texts.txt").write_text("the cat is good\nrain on the mat\n")
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (15, 13, 3), dtype=np.uint8)
        for kind in ("png", "jpg", "bmp", "gif", "tif", "webp", "ppm"):
            Image.fromarray(pixels).save(self.good / f"picture.{kind}")
        np.save(self.good / "batch.npy", pixels[None])
        save_float_sources(self.good)
        save_reports(self.good)
        self.work = folder / "work"
        on = str(self.good)
        text = ["generate", f"{on}/text.safetensors", "--board", "a10gx1150", "-o", f"{on}/text"]
        conv = ["generate", f"{on}/conv.safetensors", "--board", f"{on}/board.toml", "-o"]
        self.warm = [
            text,
            [*conv, f"{on}/unused"],
            *(
                [*run_conv(f"{on}/conv"), "--input", source]
                for source in (f"{on}/picture.png", f"{on}/batch.npy", "random:0")
            ),
            [*run_text(f"{on}/text"), "--input", f"{on}/texts.txt"],
            ["check", f"{on}/folder"],
            ["loops", f"{on}/looped", "--aoc", f"{on}/C.js"],
            ["check", f"{on}/net.pth", "--resolution", "32"],
            ["quantize", f"{on}/classifier", "-o", f"{on}/unused.safetensors"],
        ]
        self.forks = Forks(self.warm, folder)

    def copy(self, *names: str) -> Path:
        """A fresh folder with copies of good inputs."""
        shutil.rmtree(self.work, ignore_errors=True)
        (self.work / "tmp").mkdir(parents=True)
        for name in names:
            source, target = self.good / name, self.work / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        return self.work

    def check(
        self,
        arguments: list[str],
        damaged: Path,
        output: Path | None = None,
        codes: tuple[int, ...] = (0, 2),
    ) -> Outcome:
        """Run, and assert that the end is a good one."""
        size = sum(_size(path) for path in [damaged, *damaged.rglob("*")])
        outcome = self.forks.run(arguments, cwd=self.work, temporary=self.work / "tmp")
        bad = fault(outcome, size, codes)
        assert not bad, f"{bad}: {arguments}\n{outcome.err}"
        assert list((self.work / "tmp").iterdir()) == []
        if output is not None and outcome.code == 2:
            assert not output.exists() or not any(output.iterdir())
        return outcome


def save_float_sources(folder: Path) -> None:
    """A small MobileNetV2 as a Hugging Face folder and as a .pth file, and a text classifier."""
    import torch
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification
    from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import (
        MobileNetV2ImageProcessorPil,
    )

    config = MobileNetV2Config(depth_multiplier=0.35, image_size=32, num_labels=4)
    MobileNetV2ForImageClassification(config).save_pretrained(folder / "folder")
    processor = MobileNetV2ImageProcessorPil(
        size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}
    )
    processor.save_pretrained(folder / "folder")
    plain = MobileNetV2Config(depth_multiplier=0.35, num_labels=4, tf_padding=False)
    made = MobileNetV2ForImageClassification(plain)
    torch.save(torchvision_state(made), folder / "net.pth")
    save_trained(folder / "classifier")


def save_reports(folder: Path) -> None:
    """A project with a loop table, and a compiler's report of it in each format."""
    row = {"kernel": "conv", "loop": "a.cl:9", "trip_count": 4, "ii": 1, "limit": ""}
    project(folder / "looped", [row], {"latencies": {"conv": 60}, "area": {"alm": 60}})
    inner = (Row(9, "1", 60, reason="slow"),)
    kernels = [Kernel("conv", (Row(3, ">=1", 5, inside=inner),), load=130), Kernel("post")]
    for form in FORMS:
        (folder / f"{form}.js").write_text(script(form, kernels))


def _size(path: Path) -> int:
    """Bytes that a file takes on the disk: what a sparse one claims is no excuse."""
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0


def run_conv(folder: str) -> list[str]:
    return ["compare", folder, "--from", "fake-quantised", "--to", "golden", "--limit", "1"]


def run_text(folder: str) -> list[str]:
    """Refused in any case, but for one reason only where the project and the texts are good."""
    return ["compare", folder, "--from", "golden", "--to", "golden", "--limit", "1"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("mutations"))
    with made.forks:
        yield made


def many(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Inputs that are the same in every run."""
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def _generate_damaged(bench: Bench, data: st.DataObject, name: str) -> None:
    work = bench.copy(name)
    path = work / name
    damage = data.draw(content(damaged_safetensors(path.read_bytes())) | odd_place())
    damage(path)
    command = ["generate", str(path), "--board", "a10gx1150", "-o", str(work / "out")]
    bench.check(command, path, work / "out")


@many(450)
@given(data=st.data())
def test_damaged_models_of_images(bench: Bench, data: st.DataObject) -> None:
    _generate_damaged(bench, data, "conv.safetensors")


@many(300)
@given(data=st.data())
def test_damaged_models_of_texts(bench: Bench, data: st.DataObject) -> None:
    _generate_damaged(bench, data, "text.safetensors")


@many(300)
@given(data=st.data())
def test_damaged_boards(bench: Bench, data: st.DataObject) -> None:
    work = bench.copy("board.toml", "conv.safetensors")
    path = work / "board.toml"
    text = path.read_bytes()
    lines = text.splitlines(keepends=True)
    odd = [b"-1", b"0", b"1e308", b"nan", b"inf", b'""', b'"$(shell id)"', b"[]", b"{}", b"true"]
    values = st.sampled_from([*odd, b"9" * 5000, b"[" * 100_000, b"1979-05-27"])

    def line(at: int, value: bytes) -> bytes:
        key, equals, _ = lines[at].partition(b"=")
        new = key + equals + b" " + value + b"\n" if equals else lines[at] * 2
        return b"".join([*lines[:at], new, *lines[at + 1 :]])

    by_line = st.builds(line, st.integers(0, len(lines) - 1), values)
    damage = data.draw(content(damaged_bytes(text) | by_line) | odd_place())
    damage(path)
    command = ["generate", str(work / "conv.safetensors"), "--board", str(path), "-o"]
    bench.check([*command, str(work / "out")], path, work / "out")


def _damage_project(bench: Bench, data: st.DataObject, name: str) -> Path:
    """A copy of a project with one or two of its files damaged."""
    work = bench.copy(name)
    files = sorted(p for p in (work / name).rglob("*") if p.is_file())
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=2, unique=True)):
        held = path.read_bytes()
        kinds = damaged_bytes(held)
        if path.suffix == ".json":
            kinds = damaged_json(held)
        elif path.suffix == ".safetensors":
            kinds = damaged_safetensors(held)
        damage = data.draw(content(kinds) | odd_place())
        damage(path)
    return work / name


@many(350)
@given(data=st.data())
def test_damaged_projects_of_images(bench: Bench, data: st.DataObject) -> None:
    folder = _damage_project(bench, data, "conv")
    more = data.draw(st.sampled_from(([], ["--edited"])))
    bench.check([*run_conv(str(folder)), "--input", "random:0", *more], folder)


@many(250)
@given(data=st.data())
def test_damaged_projects_of_texts(bench: Bench, data: st.DataObject) -> None:
    folder = _damage_project(bench, data, "text")
    more = data.draw(st.sampled_from(([], ["--edited"])))
    bench.check([*run_text(str(folder)), "--input", "random:0", *more], folder)


@many(350)
@given(data=st.data())
def test_damaged_pictures(bench: Bench, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(p.name for p in bench.good.glob("picture.*"))))
    work = bench.copy(name)
    path = work / name
    damage = data.draw(content(damaged_bytes(path.read_bytes())) | odd_place())
    damage(path)
    bench.check([*run_conv(str(bench.good / "conv")), "--input", str(path)], path)


@many(250)
@given(data=st.data())
def test_damaged_arrays(bench: Bench, data: st.DataObject) -> None:
    work = bench.copy("batch.npy")
    path = work / "batch.npy"
    held = path.read_bytes()

    def header(shape: str, kind: str, fortran: bool, version: int) -> bytes:
        text = f"{{'descr': {kind!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
        size = len(text).to_bytes(2 if version == 1 else 4, "little")
        return b"\x93NUMPY" + bytes([version, 0]) + size + text + held[-100:]

    headers = st.builds(
        header,
        st.sampled_from(["()", "(1,)", "(1, 15, 13, 3)", "(1 << 60,)", f"({1 << 60}, 15, 13, 3)",
                         "(-1, 15, 13, 3)", "(0, 15, 13, 3)", "(" + "1," * 60 + ")",
                         f"(1, {1 << 40}, {1 << 40}, 3)", "15", "('a',)", "[" * 3000]),
        st.sampled_from(["|u1", "<f8", "|O", "<U4", "<M8[s]", "|V8", "<c16", "x", "<f2"]),
        st.booleans(), st.sampled_from([1, 2, 3, 9]),
    )  # fmt: skip
    damage = data.draw(content(damaged_bytes(held) | headers) | odd_place())
    damage(path)
    bench.check([*run_conv(str(bench.good / "conv")), "--input", str(path)], path)


@many(200)
@given(data=st.data())
def test_damaged_texts(bench: Bench, data: st.DataObject) -> None:
    work = bench.copy("texts.txt")
    path = work / "texts.txt"
    any_text = st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass"))
    long_line = st.sampled_from([b"a" * 10**6, b"a " * 10**5, b"\n" * 10**5, b"\0" * 10**4])
    damage = data.draw(
        content(damaged_bytes(path.read_bytes()) | any_text | long_line) | odd_place()
    )
    damage(path)
    bench.check([*run_text(str(bench.good / "text")), "--input", str(path)], path)


@many(400)
@given(data=st.data())
def test_damaged_reports_of_compilers(bench: Bench, data: st.DataObject) -> None:
    name = f"{data.draw(st.sampled_from(FORMS))}.js"
    work = bench.copy(name)
    path = work / name
    damage = data.draw(content(damaged_bytes(path.read_bytes())) | odd_place())
    damage(path)
    bench.check(["loops", str(bench.good / "looped"), "--aoc", str(path)], path, codes=(0, 1, 2))


@many(150)
@given(data=st.data())
def test_damaged_folders_of_networks(bench: Bench, data: st.DataObject) -> None:
    folder = _damage_project(bench, data, "folder")
    bench.check(["check", str(folder)], folder)


@many(100)
@given(data=st.data())
def test_damaged_checkpoints(bench: Bench, data: st.DataObject) -> None:
    work = bench.copy("net.pth")
    path = work / "net.pth"
    damage = data.draw(content(damaged_bytes(path.read_bytes())) | odd_place())
    damage(path)
    bench.check(["check", str(path), "--resolution", "32"], path)


@many(150)
@given(data=st.data())
def test_damaged_folders_of_text_classifiers(bench: Bench, data: st.DataObject) -> None:
    folder = _damage_project(bench, data, "classifier")
    output = bench.work / "out.safetensors"
    outcome = bench.check(["quantize", str(folder), "-o", str(output)], folder)
    assert output.is_file() == (outcome.code == 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"code": TRACEBACK}, "exit code 99"), ({"code": 1}, "exit code 1"), ({"code": 4}, "code 4"),
     ({"code": -9}, "exit code -9"), ({"err": "error: x\nTraceback (most"}, "traceback"),
     ({"err": ""}, "without a problem"), ({"cpu_s": 2.1}, "2.1 s"), ({"grown": 10**9}, "bytes")],
)  # fmt: skip
def test_bad_ends_are_seen(change: dict[str, object], words: str) -> None:
    good = {"code": 2, "cpu_s": 0.1, "wall_s": 9.0, "grown": 0, "out": "", "err": "error: x"}
    assert fault(Outcome(**good), 10) == ""  # type: ignore[arg-type]
    assert words in fault(Outcome(**{**good, **change}), 10)  # type: ignore[arg-type]


def test_a_planted_fault_is_found(bench: Bench) -> None:
    """A refusal whose limit is a byte, and a command that a kill ends."""
    command = ["generate", "none.safetensors", "--board", "none", "-o", "out"]
    outcome = bench.forks.run(command, cwd=bench.good, temporary=bench.good)
    assert (outcome.code, fault(outcome, 0)) == (2, "")
    assert "bytes" in fault(outcome, -REFUSAL_BYTES - 1)
    killed = bench.forks.run(command, cwd=bench.good, temporary=bench.good, kill_after_s=0.0)
    assert fault(killed, 0) == "exit code -9"
