"""A suite passes as it was written, and catches five faults, each with the right message."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from albert_projects import make_project, save_network, stand_in
from ci_suites import FAULTS, SWAPPED, generate, make_repository, pin, pinned, run_suite
from ci_suites import swap_in_the_model as swap
from devices import NAMES, pretend_usable

from shiftforge.cli.main import run
from shiftforge.sim.rtl import verilator

STILL = ["tool", "suite", "project", "digest", "model", "board", "generate", "goldens"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("made") / "repository")


@pytest.fixture
def repository(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone elsewhere, of a name that needs quotes; no device is usable."""
    folder = tmp_path / "ein Zweig's ü"
    shutil.copytree(made, folder)
    pretend_usable(monkeypatch, *NAMES)
    monkeypatch.chdir(folder)
    return folder


def test_a_suite_passes_in_a_clone(repository: Path, capsys: Capture) -> None:
    ran = run_suite(Path("ci"), capsys, "--junit", "results.xml")
    assert (ran.code, ran.wrong()) == (0, {})
    assert list(ran.checks) == [*STILL, *(f"device {name}" for name in NAMES)]
    root = ElementTree.parse("results.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("11", "0", "3")
    told = [skipped.get("message") for skipped in root.iter("skipped")]
    assert told == [f"not usable: {name} was planted (mend it)" for name in NAMES]
    # What is required is missed.
    ran = run_suite(Path("ci"), capsys, "--require", "pocl", "--junit", "results.xml")
    assert ran.code == 2 and "required and not usable: pocl was" in ran.wrong()["device pocl"]
    assert ElementTree.parse("results.xml").getroot().get("errors") == "1"
    pin(repository, require=["intel-cpu"])
    assert list(run_suite(Path("ci"), capsys).wrong()) == ["device intel-cpu"]


FOUND: dict[str, dict[str, str]] = {
    "weight byte": {
        "project": r"data/weights.bin: is not what was generated; byte 100 is 0x5E, was 0x04",
        "digest": r"design: its files have the digest \w+…, pinned",
    },
    "kernel line": {
        "project": r"design/device/accelerator.cl: is not .*; line \d+, column \d+: '.*bias - 1\)",
        "digest": r"its files have the digest",
    },
    "board figure": {
        "board": r"mine.toml: memory.bandwidth_gb_s is 3.41, pinned 34.1 -> undo the change",
        "generate": r"plan.json: is not generated that way again; line \d+",
    },
    "stale golden": {
        "goldens": rf"goldens.npz: the goldens are stale: .*begins in t.stem .*, channels "
        rf"{SWAPPED[0]}, {SWAPPED[1]} \(the same values in another order: swapped\)"
        r".* -> `shiftforge ci init` with --overwrite renews",
    },
    "swapped in the model": {
        "project": r"design/model.safetensors: is not what was generated",
        "digest": "its files have the digest",
        "model": r"design/model.safetensors: the model is another: SHA-256",
        "generate": r"data/weights.bin: is not generated that way again; byte \d+ is 0x",
        "goldens": rf"the network computes something else than the goldens: .*t.stem.*, channels "
        rf"{SWAPPED[0]}, {SWAPPED[1]} \(the same values in another order: swapped\)",
    },
    "swapped in the text": {
        "project": r"accelerator.cl: .*; line \d+, column \d+: '.*\(skip.*, was '.*\(operand",
        "digest": r"its files have the digest",
    },
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught_and_named(fault: str, repository: Path, capsys: Capture) -> None:
    FAULTS[fault](repository)
    ran = run_suite(Path("ci"), capsys, "--junit", "results.xml")
    assert ran.code == 1
    wrong = ran.wrong()
    assert sorted(wrong) == sorted(FOUND[fault])
    for name, pattern in FOUND[fault].items():
        assert re.search(pattern, wrong[name], re.DOTALL), wrong[name]
    assert all(text.rpartition("-> ")[2] for text in wrong.values())
    cases = ElementTree.parse("results.xml").getroot().iter("testcase")
    failed = {case.get("name") for case in cases if case.find("failure") is not None}
    assert failed == set(wrong)


def test_another_design_and_its_renewal(repository: Path, capsys: Capture) -> None:
    """A design that was generated anew is consistent in itself, and not the pinned one."""
    swap(repository, "m.safetensors")
    generate(repository)
    wrong = run_suite(Path("ci"), capsys).wrong()
    assert sorted(wrong) == ["digest", "generate", "goldens", "model"]
    assert "the design is another: its digest is" in wrong["digest"]
    frames = (repository / "ci/inputs/frames.npy").read_bytes()
    line = ["ci", "init", "design", "-o", "ci"]
    assert run(line) == 2
    assert "there is a suite already" in capsys.readouterr().err
    (repository / "ci/inputs/frames.npy").rename("kept.npy")
    assert run([*line, "--overwrite"]) == 2  # its input is not there
    assert run([*line, "--overwrite", "--input", "kept.npy"]) == 0
    assert (repository / "ci/inputs/frames.npy").read_bytes() == frames
    before = pinned(repository)
    # With its own inputs, and the board that it has.
    assert run(["ci", "init", "design", "-o", "ci", "--overwrite"]) == 0
    assert pinned(repository) == before
    assert run_suite(Path("ci"), capsys).code == 0


def test_goldens_and_inputs_are_pinned(repository: Path, capsys: Capture) -> None:
    frames = bytearray((repository / "ci/inputs/frames.npy").read_bytes())
    frames[-1] ^= 255
    (repository / "ci/inputs/frames.npy").write_bytes(frames)
    wrong = run_suite(Path("ci"), capsys).wrong()
    assert "frames.npy: is not what `shiftforge ci init` wrote" in wrong["suite"]
    assert "frame 1" in wrong["goldens"]
    (repository / "ci/goldens.npz").unlink()
    (repository / "ci/goldens.npz").symlink_to("/dev/zero")
    ran = run_suite(Path("ci"), capsys)
    assert ran.code == 1 and "no regular file" in ran.wrong()["suite"]
    assert ran.checks["goldens"][0] == "refused" and ran.checks["device pocl"][0] == "skipped"


def test_another_version_is_told(
    repository: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(repository, version="0.0.9", interface="0.0.9/3")
    wrong = run_suite(Path("ci"), capsys).wrong()
    assert list(wrong) == ["tool"]
    assert (
        "this is shiftforge" in wrong["tool"]
        and "pip install 'shiftforge==0.0.9'" in (wrong["tool"])
    )
    assert "the suite's has 0.0.9/3" in wrong["tool"]


def yaml_of(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_workflow_files_are_yaml_of_public_actions(repository: Path, capsys: Capture) -> None:
    github = yaml_of(Path("ci/.github/workflows/shiftforge.yml"))
    (job,) = github["jobs"].values()
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used == ["actions/checkout@v4", "actions/setup-python@v5", "actions/upload-artifact@v4"]
    assert job["steps"][1]["with"] == {
        "python-version": "3.11", "cache": "pip", "cache-dependency-path": "ci/suite.json",
    }  # fmt: skip
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[0] == "python -m pip install 'shiftforge[opencl]==0.1.0'"
    assert runs[1] == "shiftforge ci run ci --junit shiftforge-junit.xml"
    assert job["steps"][-1]["if"] == "always()"
    gitlab = yaml_of(Path("ci/.gitlab-ci.yml"))["shiftforge"]
    assert gitlab["script"] == runs and gitlab["image"].startswith("python:3.11")
    assert gitlab["artifacts"]["reports"]["junit"] == job["steps"][-1]["with"]["path"]
    # At the root they name the suite from there, whatever its folder is called.
    odd = "a 'b' $c `d` ü: #e"
    line = ["ci", "init", "design", "--board", "mine.toml", "-o", f"x/{odd}", "--root", "."]
    Path("x").mkdir()
    Path(".gitlab-ci.yml").write_text("mine: {}\n")
    assert run(line) == 2
    assert ".gitlab-ci.yml: is there, with another content" in capsys.readouterr().err
    assert not Path("x", odd).exists() and Path(".gitlab-ci.yml").read_text() == "mine: {}\n"
    install = "shiftforge[opencl] @ git+https://example.org/shiftforge@v1"
    assert run([*line, "--overwrite", "--install", install]) == 0
    steps = next(iter(yaml_of(Path(".github/workflows/shiftforge.yml"))["jobs"].values()))["steps"]
    words = yaml_of(Path(".gitlab-ci.yml"))["shiftforge"]["script"]
    assert (
        steps[3]["run"]
        == words[1]
        == ("shiftforge ci run 'x/a '\"'\"'b'\"'\"' $c `d` ü: #e' --junit shiftforge-junit.xml")
    )
    assert words[0] == f"python -m pip install '{install}'"
    assert not Path("x", odd, ".gitlab-ci.yml").exists()
    assert run_suite(Path("x", odd), capsys).code == 0
    assert run([*line[:-4], "-o", "${{ secrets.x }}"]) == 2
    assert "cannot stand in a workflow file" in capsys.readouterr().err


def test_what_init_refuses(
    repository: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*line: str) -> str:
        assert run(["ci", "init", *line]) == 2
        return capsys.readouterr().err

    board = ["--board", "mine.toml", "-o", "new"]
    assert "there is no such folder" in refused("nowhere", *board)
    assert "own place" in refused("design", "-o", "./design", "--board", "mine.toml")
    told = refused("design", *board, "--require", "cpu", "--inputs", "0", "--units", "3")
    assert "No such option" in told or "no such option" in told.lower()
    told = refused("design", *board, "--require", "cpu", "--inputs", "0")
    assert "--inputs" in told
    assert "'cpu' cannot be required" in refused("design", *board, "--require", "cpu")
    assert "is none that ships" in refused("design", "-o", "new")
    told = refused("design", "-o", "new", "--board", "a10gx1150")
    assert "name is 'a10gx1150', the design's 'mine'" in told
    assert "generate it again" in told
    assert "/proc" in refused("design", *board[:2], "-o", "/proc/new")  # nobody may write there
    (repository / "file").write_text("")
    assert "is not a folder" in refused("design", *board[:2], "-o", "file")
    save_network(repository / "text.safetensors")
    assert "text.safetensors" in refused("design", *board, "--model", "text.safetensors")
    assert "give the model file" in refused(
        "design", *board, "--model", str(swapped_model(repository))
    )
    manifest = repository / "design/shiftforge.json"
    whole = manifest.read_bytes()
    manifest.write_text(json.dumps({"kind": "conv", "schema": 1, "unfinished": True, "files": {}}))
    assert "the project is unfinished" in refused("design", *board)
    manifest.write_bytes(whole.replace(b'0.1.0/11"', b'0.1.0/10"'))
    told = refused("design", *board)
    assert "was edited, or is damaged" in told
    manifest.write_bytes(whole)
    FAULTS["kernel line"](repository)
    assert "accelerator.cl: is not what was generated" in refused("design", *board)
    assert not (repository / "new").exists()


def swapped_model(repository: Path) -> Path:
    shutil.copy(repository / "m.safetensors", repository / "s.safetensors")
    swap(repository, "s.safetensors")
    return repository / "s.safetensors"


def test_a_design_elsewhere_and_links(repository: Path, tmp_path: Path, capsys: Capture) -> None:
    """A design outside the repository is told; one that a link leads to is found."""
    shutil.move(repository / "design", tmp_path / "away")
    line = ["ci", "init", str(tmp_path / "away"), "-o", "new", "--board", "mine.toml"]
    assert run(line) == 0
    assert "away lies outside" in capsys.readouterr().err
    assert pinned_path(repository / "new") == "../../away"
    assert run_suite(Path("new"), capsys).code == 0
    (repository / "design").symlink_to(tmp_path / "away")
    assert run_suite(Path("ci"), capsys).code == 0
    (repository / "design").unlink()
    ran = run_suite(Path("ci"), capsys)
    assert ran.code == 2 and "there is no such folder" in ran.wrong()["project"]


def pinned_path(folder: Path) -> str:
    return str(json.loads((folder / "suite.json").read_text())["project"])


def missing(name: str) -> Callable[[Path], None]:
    return lambda repository: (repository / name).unlink()


@pytest.mark.parametrize(
    ("name", "code", "check"),
    [
        ("mine.toml", 2, "board"),
        ("design/model.safetensors", 1, "model"),
        ("design/device/accelerator.cl", 1, "project"),
        ("design/shiftforge.json", 2, "project"),
        ("ci/inputs/frames.npy", 1, "goldens"),
    ],
)
def test_missing_files_are_named(
    name: str, code: int, check: str, repository: Path, capsys: Capture
) -> None:
    missing(name)(repository)
    ran = run_suite(Path("ci"), capsys)
    assert ran.code == code
    place = name.removesuffix("/shiftforge.json")
    assert place in ran.wrong()[check], ran.wrong()


def test_a_text_classifier_with_its_exits_and_rtl(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_usable(monkeypatch, "intel-cpu")
    monkeypatch.setattr(verilator, "verilator_root", lambda: Path())
    folder = make_project(tmp_path / "design")
    calls = stand_in(monkeypatch)
    line = ["ci", "init", str(folder), "--input", "random:3", "--inputs", "2"]
    assert run([*line, "--threshold", "0.5", "--rtl", "1"]) == 0
    suite = json.loads((tmp_path / "ci/suite.json").read_text())
    assert suite["run_options"] == {"threshold": 0.5} and suite["rtl"] == 1
    tokens = json.loads((tmp_path / "ci/inputs/tokens.json").read_text())
    assert [own["name"] for own in tokens["sentences"]] == ["random 1", "random 2"]
    ran = run_suite(tmp_path / "ci", capsys)
    assert (ran.code, ran.wrong()) == (0, {})
    assert [call["device"] for call in calls] == ["pocl", "intel-fpga-emu", "rtl", "rtl run"]
    assert ran.checks["rtl"][0] == "passed" and ran.checks["device intel-cpu"][0] == "skipped"
    extras = yaml_of(tmp_path / "ci/.gitlab-ci.yml")["shiftforge"]["script"][0]
    assert "shiftforge[opencl,rtl,text]==" in extras
    stand_in(monkeypatch, "context")
    wrong = run_suite(tmp_path / "ci", capsys).wrong()
    assert "sentence 2 (random 2), layer 0, context: 1 of" in wrong["device pocl"]
    assert "sentence 1 (random 1), layer 0, context: 1 of" in wrong["rtl"]
    # Without tools the RTL is left out, unless it is required.
    monkeypatch.undo()
    pretend_usable(monkeypatch, *NAMES)
    monkeypatch.setattr(verilator, "verilator_root", _no_verilator)
    assert run_suite(tmp_path / "ci", capsys).checks["rtl"][0] == "skipped"
    assert run_suite(tmp_path / "ci", capsys, "--require", "rtl").code == 2
    tokens["sentences"][1]["ids"][0] = 10**6
    (tmp_path / "ci/inputs/tokens.json").write_text(json.dumps(tokens))
    wrong = run_suite(tmp_path / "ci", capsys).wrong()
    assert "sentence 2 has tokens that are none of the network's" in wrong["goldens"]


def _no_verilator() -> Path:
    from shiftforge.errors import InputError, Problem

    raise InputError(Problem("no Verilator", "install it"))
