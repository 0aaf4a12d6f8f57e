"""Training that is refused: folders of others, settings, numbers; before torch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from crashes import contents
from safetensors.numpy import save_file

from shiftforge.cli.main import run
from shiftforge.quant.models.folder import folder_problems
from shiftforge.quant.schemes.settings import NAMES, SETTINGS, scheme_problems

NETWORK = ["train", "--network", "resnet8_small", "--data", "digits", "--limit", "40"]
OURS = {"facts": {}, "epoch": 1}


def checkpoint(path: Path, header: object) -> None:
    save_file({"x": np.zeros(2, np.float32)}, path, {"shiftforge": json.dumps(header)})


def foreign(path: Path) -> None:
    """A file of the user's under a name that training writes."""
    if path.suffix == ".safetensors":
        save_file({"x": np.zeros(2, np.float32)}, path)
    else:
        path.write_bytes(b"\x89PNG mine" if path.suffix == ".png" else b'["mine"]')


@pytest.mark.parametrize(
    "name",
    ["float.safetensors", "quantised.safetensors", "model.safetensors", "float-002.safetensors",
     "quantised.history.json", "weights.png"],
)  # fmt: skip
def test_a_file_of_another_is_never_replaced(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path / "float-001.safetensors", OURS)
    foreign(tmp_path / name)
    before = contents(tmp_path)
    assert run([*NETWORK, "-o", str(tmp_path), "--resume", "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["error"]
    assert problem["where"] == str(tmp_path / name)
    assert "not written by this training" in problem["what"] and "move it" in problem["remedy"]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("line", [["train"], [*NETWORK], [*NETWORK, "--resume"]])
def test_a_folder_of_others_is_left_alone(
    line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert run([*line, "-o", str(tmp_path)]) == 2
    assert "holds no training run" in capsys.readouterr().err
    assert contents(tmp_path).keys() == {"thesis.txt"}


def test_the_demonstration_replaces_no_other_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign(tmp_path / "mobilenet_v2_fashion.safetensors")
    assert run(["train", "-o", str(tmp_path)]) == 2
    assert "not written by this training" in capsys.readouterr().err


def test_outputs_are_checked_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    refused = (("file", "not a folder"), ("no/where", "parent folder"), ("/", "holds no"))
    for output, what in refused:
        assert run([*NETWORK, "-o", str(tmp_path / output)]) == 2
        assert what in capsys.readouterr().err


def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".float.safetensors.abcd1234.shiftforge-part").write_bytes(b"half")
    assert not folder_problems(tmp_path, ["float"], ["float"], resume=False)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--set", "bogus=1"], "target: number 0 to 1 or null (0.5)"),
        (["--set", "target=x"], "give target as number 0 to 1 or null"),
        (["--set", "target=NaN"], "give target as"),
        (["--set", "every=0"], "give every as whole number from 1"),
        (["--set", f"every={'9' * 5000}"], "give every as"),
        (["--set", "every=" + "[" * 10**5], "give every as"),
        (["--set", "tau=1", "--set", "tau=2"], "--set tau twice"),
        (["--scheme", "inq", "--set", "portions=[]"], "each a number 0 to 1"),
        (["--rate", "nan"], "learning rate nan"),
        (["--rate", "1e30"], "of at most 1000"),
        (["--seed", str(10**30)], "seed 1000"),
        (["--epochs", str(10**12)], "1000000000000 epochs"),
        (["--channels", "7"], "7 channels"),
        (["--resolution", "7"], "pictures of 7 pixels"),
        (["--distil", "nan"], "distillation share"),
        (["--activation-bits", "1"], "activations of 1 bit"),
        (["--start", "/"], "is a folder"),
        (["--override", "a=int:99"], "give bits as whole number 2 to 8"),
    ],
)
def test_settings_and_numbers(
    options: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*NETWORK, "-o", str(tmp_path / "new"), *options]) == 2
    assert what in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_settings_are_those_of_the_schemes() -> None:
    from shiftforge.quant.schemes.catalogue import by_name

    for name in NAMES:
        made = by_name(name)
        own = {f.name: getattr(made, f.name) for f in fields(made) if f.name != "activations"}
        assert own == {n: s.default for n, s in SETTINGS[name].items()}
        assert not scheme_problems(name, own)
        for setting, value in own.items():
            assert scheme_problems(name, {setting: object()}), (name, setting, value)


_REFUSED = """
import sys
from shiftforge.cli.main import run
for line in {lines!r}:
    assert run(line) == 2
    assert "torch" not in sys.modules, line
"""


def test_bad_options_are_refused_before_torch_is_imported(tmp_path: Path) -> None:
    out = ["-o", str(tmp_path / "new")]
    lines = [
        [*NETWORK, *out, "--set", "bogus=1"],
        [*NETWORK, *out, "--device", "abacus"],
        ["train", *out, "--width", "9"],
        ["train", "albert", *out, "--corpus", "tsv:nowhere.tsv"],
        ["train", "embeddings", *out, "--corpus", "bbc", "--density", "7"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", _REFUSED.format(lines=lines)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
