"""Designs of networks and boards whose texts are another language's: inert in every file.

The board files themselves refuse such texts; boards out of Python, and names out of model files, do
not, and the emitters do not rely on any of it.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from albert_cases import integer_case
from random_networks import random_network
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.cli.main import run
from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.target import TARGET, ConvPlan, generate
from shiftforge.quant.albert.network.file import save_integer
from shiftforge.quant.graph.file import save_model
from shiftforge.quant.graph.types import QuantizedModel

EVIL = (
    "*/ int evil(int a) { return a; } /*",
    "$(shell touch evil)",
    "x; touch evil #",
    "'; touch evil; '",
    '"""\nimport os; os.mknod("evil")\n"""',
    "a\nall: ; touch evil\n\ttouch evil\\",
    "{{ version }} | `touch evil` [x](http://x) <script>",
    "\ud800\u202e\u2028\x00\x1b[31m",
    "x" * 100_000,
)
RULES = ("emulate", "report", "hardware", "run", "emulate-aoc", "run-emulator")
each_text = pytest.mark.parametrize("text", thinned(EVIL, 5), ids=range(len(EVIL)))


def named(text: str) -> QuantizedModel:
    model = random_network(3, layers=2)
    channels = model.tensors[model.output].channels
    return replace(model, name=text, labels=(text,) * channels)


def after_the_header(text: str) -> str:
    return text[text.index("*/") :]


def without_texts(program: str) -> str:
    """A program's statements without its docstrings, names and descriptions."""
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def harmless(folder: Path) -> None:
    """No rule of the Makefile, run or read, does what a name says."""
    before = sorted(p.name for p in folder.iterdir())
    assert make(folder, "-n", *RULES).returncode == 0
    assert sorted(p.name for p in folder.iterdir()) == before
    done = make(folder, *RULES, "AOC=true", "SHIFTFORGE=true", "PYTHON=true")
    assert done.returncode == 0, done.stderr
    assert make(folder, "-f", "Makefile", "clean").returncode == 0
    assert sorted(p.name for p in folder.iterdir()) == before


@each_text
def test_names_of_a_network_reach_no_language(text: str, tmp_path: Path) -> None:
    board = load_board("a10gx1150")
    plain = {
        k: v.decode("utf-8", "replace") for k, v in generate(named("net"), board).files.items()
    }
    folder = tmp_path / "d"
    generate(named(text), board).write(folder)
    texts = {k: (folder / k).read_text("utf-8", "replace") for k in plain}
    device = texts["device/accelerator.cl"]
    assert after_the_header(device) == after_the_header(plain["device/accelerator.cl"])
    assert device.count("\n") == plain["device/accelerator.cl"].count("\n")
    assert without_texts(texts["host/host.py"]) == without_texts(plain["host/host.py"])
    assert texts["Makefile"] == plain["Makefile"]
    assert texts["README.md"].count("\n") == plain["README.md"].count("\n")
    assert json.loads(texts["plan.json"]) and len(texts["README.md"]) < 4000
    harmless(folder)


@each_text
def test_names_of_a_model_file_pass_the_whole_of_generate(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save_model(named(text), tmp_path / "m.safetensors")
    folder = tmp_path / "d"
    options = ["--board", "a10gx1150", "-o", str(folder)]
    assert run(["generate", str(tmp_path / "m.safetensors"), *options]) == 0
    assert "Traceback" not in capfd.readouterr().err
    harmless(folder)


@each_text
def test_sources_that_end_a_comment_do_not(text: str) -> None:
    """The model's verifier refuses such sources; the emitter does not rely on it."""
    model = random_network(3, layers=2)
    evil = replace(model, nodes=tuple(replace(n, source=text) for n in model.nodes))
    board = load_board("a10gx1150")
    plan = TARGET.plan(model, board, TARGET.options())
    layers = tuple(replace(layer, source=text) for layer in plan.plan.layers)
    planned = ConvPlan(network_of(model), replace(plan.plan, layers=layers))
    device = TARGET.emit(planned).files["device/accelerator.cl"].decode()
    plain = TARGET.emit(plan).files["device/accelerator.cl"].decode()
    assert after_the_header(device) == after_the_header(plain)
    assert device.count("\n") == plain.count("\n")
    if text == EVIL[0]:
        with pytest.raises(InputError):
            TARGET.emit(ConvPlan(network_of(evil), plan.plan))


def titled(text: str) -> Board:
    board = load_board("a10gx1150")
    # The numbers in front decide what the SDK lists; without them no attribute would be listed.
    version = f"{board.sdk.version}.{text}"
    sdk = replace(board.sdk, bsp=text, flags=(text, "-v"), emulator_flags=(text,), version=version)
    memory = replace(board.memory, kind=text)
    return replace(board, name=text, title=text, device=text, memory=memory, sdk=sdk)


@each_text
def test_texts_of_a_board_out_of_python_reach_no_language(text: str, tmp_path: Path) -> None:
    plain = generate(named("net"), load_board("a10gx1150")).files
    if not text.isprintable():  # no value of a Makefile can hold it
        with pytest.raises(InputError, match="Makefile"):
            generate(named("net"), titled(text))
        return
    design = generate(named("net"), titled(text))
    folder = tmp_path / "d"
    design.write(folder)
    device = design.files["device/accelerator.cl"].decode()
    assert after_the_header(device) == after_the_header(plain["device/accelerator.cl"].decode())
    for name in ("Makefile", "README.md"):
        assert design.files[name].count(b"\n") == plain[name].count(b"\n")
    own, other = (x["host/host.py"].decode() for x in (design.files, plain))
    assert without_texts(own) == without_texts(other)
    harmless(folder)
    if len(text) < 1000:
        done = make(folder, "-s", "report", "AOC=printf '%s\\n'")
        assert f"-board={text}" in done.stdout.split("\n") and text in done.stdout.split("\n")


def test_an_sdk_of_no_version_lists_nothing() -> None:
    board = load_board("a10gx1150")
    odd = replace(board, sdk=replace(board.sdk, version="new"))
    with pytest.raises(CheckFailed, match="is not listed by the pro edition, version new"):
        generate(named("net"), odd)


@pytest.mark.parametrize("place", ["bsp", "flags", "emulator_flags", "version", "title", "name"])
def test_a_board_file_runs_no_commands(
    place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refused before anything is written."""
    from importlib.resources import files

    save_model(named("net"), tmp_path / "m.safetensors")
    good = (files("shiftforge.boards") / "a10gx1150.toml").read_text()
    mark = tmp_path / "evil"
    for value in (f"$(shell touch {mark})", f"x; touch {mark}", f"x\\nall:\\n\\ttouch {mark}"):
        lines = [
            f'{place} = ["{value}"]' if line.startswith(f"{place} = [") else
            f'{place} = "{value}"' if line.startswith(f"{place} = ") else line
            for line in good.splitlines()
        ]  # fmt: skip
        board = tmp_path / "mine.toml"
        board.write_text("\n".join(lines))
        options = ["--board", str(board), "-o", str(tmp_path / "d")]
        assert run(["generate", str(tmp_path / "m.safetensors"), *options]) == 2
        assert place in capfd.readouterr().err
    assert not (tmp_path / "d").exists() and not mark.exists()


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_figures_at_their_bounds_end_in_a_design_or_a_refusal(every: int) -> None:
    """No model of area, cycles or rates overflows or divides by nothing."""
    model, good, built = random_network(3, layers=2), load_board("a10gx1150"), 0
    bounds = ((1, 10**7), (0, 10**7), (1, 10**7), (1.0, 999.9), (0.001, 1e5), (0.001, 1.0))
    for alm, dsp, blocks, clock, bandwidth, share in [*product(*bounds)][::every]:
        board = replace(
            good, alm=alm, dsp=dsp, ram_blocks=blocks, clock_mhz_assumed=clock,
            memory=replace(good.memory, bandwidth_gb_s=bandwidth, size_gb=bandwidth),
            limits=replace(good.limits, alm=share, ram=share),
        )  # fmt: skip
        try:
            generate(model, board)
            built += 1
        except InputError as error:
            assert all(problem.remedy for problem in error.problems)
    assert built


@pytest.mark.parametrize("text", thinned(EVIL[:-1], 5), ids=range(len(EVIL) - 1))
def test_classes_of_a_text_classifier_reach_no_language(text: str, tmp_path: Path) -> None:
    found = []
    for name, classes in (("plain", "class"), ("evil", text)):
        network = integer_case()
        network = replace(network, classes=(classes,) * len(network.classes))
        path = tmp_path / f"{name}.safetensors"
        save_integer(network, path, tokeniser=None, notes={})
        folder = tmp_path / name
        assert run(["generate", str(path), "--board", "a10gx1150", "-o", str(folder)]) == 0
        found.append(folder)
    plain, evil = found
    for name in ("device/edgebert.cl", "Makefile", "rtl/REGISTERS.md"):
        assert (plain / name).read_bytes() == (evil / name).read_bytes()
    own, other = ((f / "host/host.py").read_text() for f in (evil, plain))
    assert without_texts(own) == without_texts(other)
    lines = [len((f / "README.md").read_text().split("\n")) for f in found]
    assert lines[0] == lines[1]
    harmless(evil)


AWKWARD = ["a b", "it's", 'say "x"', "$HOME $(id)", "#1", "a;b&c", "täßt", "-x", "a\tb"]
Generate = Callable[..., Path]


@pytest.mark.parametrize("name", AWKWARD)
def test_folders_of_every_name_and_inputs_of_every_name(
    name: str, tmp_path: Path, generated: Generate
) -> None:
    folder = tmp_path / name
    shutil.copytree(generated(random_network(3, layers=2)), folder)
    show = "SHIFTFORGE=printf '%s\\n'"
    done = make(folder, "-s", "emulate", show, f"INPUT={name}.png")
    assert done.returncode == 0 and f"{name}.png" in done.stdout.split("\n")
    done = make(folder, "-s", "report", "AOC=touch build/report.aocr; printf '%s\\n'")
    assert done.returncode == 0 and (folder / "build/report.aocr").is_file()
    done = make(folder, "-s", "run", "AOC=true", "PYTHON=printf '%s\\n'", f"INPUT={name}")
    assert name in done.stdout.split("\n")


@pytest.mark.parametrize(
    ("rule", "variable", "told"),
    [
        ("emulate", "SHIFTFORGE", "activate the environment"),
        ("report", "AOC", "install the Intel FPGA SDK"),
        ("hardware", "AOC", "install the Intel FPGA SDK"),
        ("run", "AOC", "install the Intel FPGA SDK"),
        ("emulate-aoc", "AOC", "install the Intel FPGA SDK"),
        ("run", "PYTHON", "install Python"),
        ("run-emulator", "PYTHON", "install Python"),
    ],
)
@pytest.mark.parametrize("program", ["none-such-program", "/none/such program", ""])
def test_rules_say_which_program_is_missing(
    rule: str, variable: str, told: str, program: str, tmp_path: Path, generated: Generate
) -> None:
    folder = tmp_path / "d"
    shutil.copytree(generated(random_network(3, layers=2)), folder)
    others = [f"{name}=true" for name in ("AOC", "PYTHON", "SHIFTFORGE") if name != variable]
    done = make(folder, rule, f"{variable}={program}", *others)
    assert done.returncode == 2
    told_line = next(x for x in done.stderr.splitlines() if x.startswith("error: "))
    assert told in told_line and f"set {variable}=" in told_line
    assert not (folder / "build/accelerator.aocx").exists() and "not found" not in done.stderr


def test_half_a_bitstream_does_not_stay(tmp_path: Path, generated: Generate) -> None:
    folder = tmp_path / "d"
    shutil.copytree(generated(random_network(3, layers=2)), folder)
    program = tmp_path / "aoc"
    program.write_text("#!/bin/sh\necho half > build/accelerator.aocx\nexit 1\n")
    program.chmod(0o755)
    assert make(folder, "hardware", f"AOC={program}").returncode == 2
    assert not (folder / "build/accelerator.aocx").exists()
