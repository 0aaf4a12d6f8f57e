"""The host program of a project, run on the folder alone, against the reference."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from albert_cases import integer_case, optimised_case, sentences
from albert_projects import make_project
from host_program import POCL, load_host, refused, run_host

from shiftforge.boards.load import load_board
from shiftforge.generator.edgebert.folder import affine_words, project_files
from shiftforge.generator.edgebert.kernel_fields import COMMAND_FIELDS
from shiftforge.generator.edgebert.kernel_sentence import SentenceKernels
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import Sentence, golden_sentence, threshold_of

TRACE = [name for name, _ in COMMAND_FIELDS].index("trace")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the host needs of a project one of whose heads is off: no network, no manifest."""
    whole = make_project(tmp_path_factory.mktemp("albert") / "tiny", optimised=True)
    folder = tmp_path_factory.mktemp("folder") / "host"
    for name in ("data", "device", "host"):
        shutil.copytree(whole / name, folder / name)
    shutil.copy(whole / "tokenizer.json", folder)
    return folder


def check(found: list[dict[str, object]], wanted: list[Sentence], classes: tuple[str, ...]) -> None:
    """Labels, exit layers, logits and entropies are the reference's."""
    assert len(found) == len(wanted)
    for got, want in zip(found, wanted, strict=True):
        assert got["label"] == classes[want.label]
        assert got["layers"] == want.exit_layer
        assert got["logits"] == want.layers[-1].logits.tolist()
        assert got["entropies"] == [layer.entropy for layer in want.layers]


@pytest.mark.parametrize(
    ("device", "platform"), [("pocl", "Portable Computing"), ("intel-fpga-emu", "Emulation")]
)
def test_labels_and_logits_are_those_of_the_reference(
    device: str, platform: str, project: Path, tmp_path: Path
) -> None:
    network, texts = optimised_case(), sentences()[:3]
    unit = golden_unit(choose_unit(network))
    whole = [golden_sentence(network, ids, unit) for ids in texts]
    # An entropy in nats, as it prints, between those of the first layers.
    nats = sorted(s.layers[0].entropy for s in whole)[1] / 65536
    (tmp_path / "ids.json").write_text(json.dumps([ids.tolist() for ids in texts]))
    icd = tmp_path / "icd" if device == "intel-fpga-emu" else None
    out = tmp_path / "out.json"
    done = run_host(
        project, "--platform", platform, "--input", str(tmp_path / "ids.json"), "--output",
        str(out), "--threshold", repr(nats), icd=icd,
    )  # fmt: skip
    if device == "pocl" and "unknown target CPU" in done.stderr:
        # The host program stands alone: it uses PoCL as it is, and mends nothing.
        assert done.returncode == 3
        pytest.skip("PoCL as it is installed does not know this processor")
    assert done.returncode == 0, done.stderr
    wanted = [golden_sentence(network, ids, unit, threshold_of(nats)) for ids in texts]
    assert {s.exit_layer for s in wanted} > {1}
    check(json.loads(out.read_text()), wanted, network.classes)
    assert f"sentence 0: {network.classes[wanted[0].label]}, " in done.stdout


@pytest.mark.device("intel-fpga-emu")
def test_texts_go_through_the_tokeniser(project: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    text = "the dog is good\n\nrain\n"
    (tmp_path / "texts.txt").write_text(text)
    out = tmp_path / "out.json"
    done = run_host(
        project, "--platform", "Emulation", "--input", str(tmp_path / "texts.txt"), "--output",
        str(out), icd=tmp_path / "icd",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    network = optimised_case()
    tokeniser = Tokenizer.from_file(str(project / "tokenizer.json"))
    unit = golden_unit(choose_unit(network))
    ids = [np.array(tokeniser.encode(line).ids) for line in ("the dog is good", "rain")]
    wanted = [golden_sentence(network, own, unit) for own in ids]
    check(json.loads(out.read_text()), wanted, network.classes)


BAD_IDENTITIES = (
    "[[99999]]",
    "[[]]",
    "[[2, 1.5]]",
    "[[2, true]]",
    "[2, 3]",
    "{}",
    "[]",
    "[[2, -1]]",
    "[[1e400]]",
    f"[[{'9' * 5000}]]",
    "[" * 100_000,
    "[[2,",
)


def test_bad_input_of_the_classifiers_host_is_told(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    host = load_host(project, monkeypatch, [POCL])
    binary = tmp_path / "latin.txt"
    binary.write_bytes(b"caf\xe9\n")
    for options, told in (
        (["--platform", "none such", "--input", "random:0"], "there are 0: Portable"),
        (["--platform", "0", "--device", "7", "--input", "random:0"], "there are 0: pthread"),
        (["--input", "random:0"], "no OpenCL platform is called"),
        (["--input", "random:x"], "no seed"),
        (["--input", f"random:{'9' * 5000}"], "no seed"),
        (["--input", "random:0", "--limit", "0"], "--limit"),
        (["--input", "random:0", "--limit", str(1 << 60)], "--limit"),
        (["--input", "random:0", "--threshold", "nan"], "--threshold"),
        (["--input", "random:0", "--threshold", "-1"], "--threshold"),
        (["--input", "none.json"], "cannot be read"),
        (["--input", str(tmp_path)], "cannot be read"),
        (["--input", str(binary)], "UTF-8"),
        (["--input", os.devnull], "no regular file"),
        (["--input", "random:0", "--output", str(tmp_path)], "is a folder"),
        (["--input", "random:0", "--output", str(tmp_path / "a/b")], "cannot be written"),
        (["--input", "random:0", "--output", str(tmp_path / ("a" * 300))], "cannot be written"),
    ):
        assert told in refused(host, monkeypatch, capfd, "--source", *options)


def test_bad_token_identities_are_told(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    host = load_host(project, monkeypatch)
    path = tmp_path / "ids.json"
    for text in BAD_IDENTITIES:
        path.write_text(text)
        told = refused(host, monkeypatch, capfd, "--source", "--input", str(path))
        assert "ids.json" in told or "sentence 0" in told


@pytest.mark.parametrize("fault", ["short", "gone", "pipe", "layout"])
def test_damaged_data_of_the_classifiers_host_are_told(
    fault: str,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(project, folder)
    path = folder / "data" / ("layout.json" if fault == "layout" else "masks.bin")
    content = path.read_bytes()
    path.unlink()
    if fault == "pipe":
        os.mkfifo(path)
    elif fault != "gone":
        path.write_bytes(content[:-4])
    host = load_host(folder, monkeypatch, [POCL])
    line = refused(host, monkeypatch, capfd, "--source", "--platform", "0", "--input", "random:0")
    assert "generate the project again" in line


@pytest.mark.parametrize("lanes", [4, 16])
@pytest.mark.parametrize("weights", ["af", "shift1", "shift2"])
def test_fields_of_commands_for_every_length(weights: str, lanes: int) -> None:
    network = integer_case(weights)  # type: ignore[arg-type]
    kernels = SentenceKernels(choose_unit(network, lanes), network)
    factors = affine_words(kernels)
    for tokens in range(1, network.length + 1):
        ranks = np.array([1, tokens, -(-tokens // lanes)], np.uint32)
        words = np.concatenate([x.commands.words() for x in kernels.launches(tokens)])
        words[:, TRACE] = 0
        assert np.array_equal((factors * ranks).sum(axis=2, dtype=np.uint32), words)


def test_equal_networks_give_equal_files(project: Path) -> None:
    board, network = load_board("a10gx1150"), optimised_case()
    design = choose_unit(network)
    plan = plan_sentence(design, network, network.length)
    first, again = (project_files(design, network, plan, board) for _ in range(2))
    assert first == again
    for name, content in first.items():
        if name != "plan.json":
            assert (project / name).read_bytes() == content
