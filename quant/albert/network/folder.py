"""Folders of trained classifiers, and Hugging Face folders of ALBERT classifiers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import save
from transformers import AlbertConfig, AlbertModel

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.albert.network.config import (
    CONFIG,
    WEIGHTS,
    network_settings,
    read_config,
    size_problems,
)
from shiftforge.quant.albert.network.model import OffRampAlbert, attach_spans
from shiftforge.quant.albert.network.notes import NOTES, begin_notes, load_notes
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.albert.network.stages import FloatNetwork
from shiftforge.quant.tensor_file import read_tensors

__all__ = ["float_network", "load_classifier", "pretrained", "save_classifier", "shape_of"]

_LAYER = "encoder.albert_layer_groups.0.albert_layers.0"
_LINEARS = {
    "q": "attention.query",
    "k": "attention.key",
    "v": "attention.value",
    "output": "attention.dense",
    "ffn1": "ffn",
    "ffn2": "ffn_output",
}
# What transformers and torch raise for settings and arrays that are not those of a network.
_DAMAGED = (
    OSError, SafetensorError, StrictDataclassError, AssertionError, AttributeError, KeyError,
    TypeError, ValueError, RuntimeError, ZeroDivisionError,
)  # fmt: skip
_NORMS = {"norm1": "attention.LayerNorm", "norm2": "full_layer_layer_norm"}


def save_classifier(model: OffRampAlbert, classes: tuple[str, ...], folder: Path,
                    notes: Mapping[str, Any] | None = None) -> None:  # fmt: skip
    """Write configuration, weights (``albert.*``, ``ramps.*``, ``spans.z``) and notes.

    The notes get ``classes``, and ``spans`` (z in tokens, ramp) where the network has spans.
    """
    begin_notes(folder)
    tensors = {n: t.detach().cpu().contiguous() for n, t in sorted(model.state_dict().items())}
    text: dict[str, Any] = {"classes": list(classes), **(notes or {})}
    text.pop("spans", None)
    if model.spans is not None:
        text["spans"] = {"z": model.spans.z.tolist(), "ramp": model.spans.ramp}
    config = model.config.to_json_string().encode()
    held = json.dumps(text, indent=1, sort_keys=True).encode() + b"\n"
    weights = save(tensors, metadata={"format": "pt"})
    for name, content in ((CONFIG, config), (WEIGHTS, weights), (NOTES, held)):
        write_file(folder / name, content)


def load_classifier(folder: Path) -> tuple[OffRampAlbert, tuple[str, ...]]:
    """A classifier of :func:`save_classifier`, in evaluation mode, and its class names.

    Raises InputError where a file is missing, damaged, or of another network, and for weights that
    are not finite.
    """
    where = str(folder)
    notes = load_notes(folder, ["classes"])
    settings = read_config(folder)
    if problems := size_problems(settings, folder):
        raise InputError(problems)
    classes = tuple(notes["classes"])
    remedy = f"train again; a classifier is {CONFIG}, {WEIGHTS} and {NOTES}"
    tensors, _ = read_tensors(folder / WEIGHTS, remedy, "pt")
    try:
        model = OffRampAlbert(AlbertConfig(**network_settings(settings)), len(classes))
        if notes.get("spans") is not None:
            attach_spans(model, notes["spans"]["ramp"])
        model.load_state_dict(tensors)
    except _DAMAGED as error:
        raise InputError(Problem(f"no classifier: {error}", remedy, where)) from error
    bad = [name for name, tensor in sorted(tensors.items()) if not bool(tensor.isfinite().all())]
    if bad:
        raise InputError(Problem(f"{n} holds NaN or infinity", "train again", where) for n in bad)
    return model.eval(), classes


def pretrained(folder: Path, classes: int, dropout: float = 0.0) -> OffRampAlbert:
    """The ALBERT of a Hugging Face folder, whatever head it has, with off-ramps yet to train.

    Nothing is fetched, and only safetensors are read. Raises InputError.
    """
    where = str(folder)
    settings = read_config(folder)
    if problems := size_problems(settings, folder):
        raise InputError(problems)
    shares = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0}
    try:
        albert = AlbertModel.from_pretrained(
            folder, config=AlbertConfig(**network_settings(settings) | shares),
            add_pooling_layer=False, local_files_only=True, use_safetensors=True,
            dtype=torch.float32,
        )  # fmt: skip
    except _DAMAGED as error:
        remedy = f"give a folder with {CONFIG} and {WEIGHTS} of an ALBERT"
        raise InputError(Problem(f"no ALBERT: {error}", remedy, where)) from error
    return OffRampAlbert(albert.config, classes, albert)


def shape_of(model: OffRampAlbert, length: int) -> Shape:
    """The sizes of a network, for sentences of up to ``length`` tokens, or fewer where it has fewer
    places. Raises InputError where the unit cannot take its heads."""
    config = model.config
    return Shape(
        config.hidden_size, config.num_attention_heads, config.intermediate_size,
        config.num_hidden_layers, min(length, config.max_position_embeddings),
        config.embedding_size, config.vocab_size,
    )  # fmt: skip


def float_network(model: OffRampAlbert, classes: tuple[str, ...]) -> FloatNetwork:
    """The formulas' arrays, float64, with the spans.

    Raises InputError for what the unit does not compute.
    """
    config = model.config
    problems = Problems()
    if config.num_hidden_groups != 1 or config.inner_group_num != 1:
        what = f"{config.num_hidden_groups} groups of {config.inner_group_num} layers"
        problems.append(Problem(what, "layers share their weights: one group of one layer"))
    if config.hidden_act != "gelu_new":
        problems.append(Problem(f"activation {config.hidden_act}", "use gelu_new"))
    problems.stop()
    held = {n: t.detach().cpu().double().numpy() for n, t in model.albert.state_dict().items()}
    values: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {
        "word": held["embeddings.word_embeddings.weight"],
        "position": held["embeddings.position_embeddings.weight"],
        "type": held["embeddings.token_type_embeddings.weight"],
    }
    linears = {name: f"{_LAYER}.{path}" for name, path in _LINEARS.items()}
    linears["mapping"] = "encoder.embedding_hidden_mapping_in"
    norms = {name: f"{_LAYER}.{path}" for name, path in _NORMS.items()}
    norms["embedding_norm"] = "embeddings.LayerNorm"
    for name, path in linears.items():
        values |= {name: held[f"{path}.weight"], f"{name}.bias": held[f"{path}.bias"]}
    for name, path in norms.items():
        values |= {f"{name}.gamma": held[f"{path}.weight"], f"{name}.beta": held[f"{path}.bias"]}
    for index, ramp in enumerate(model.ramps):
        own = {n: t.detach().cpu().double().numpy() for n, t in ramp.state_dict().items()}
        values |= {f"ramp {index}": own["weight"], f"ramp {index}.bias": own["bias"]}
    spans = model.spans
    return FloatNetwork(
        values,
        int(config.num_attention_heads),
        int(config.num_hidden_layers),
        float(config.layer_norm_eps),
        classes,
        None if spans is None else spans.z.detach().cpu().double().numpy(),
        0 if spans is None else spans.ramp,
    )
