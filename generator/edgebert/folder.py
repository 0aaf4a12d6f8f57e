"""The files of a text classifier's project around the device text: host program, data, plan."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge import __version__
from shiftforge.boards.types import Board
from shiftforge.generator.channel import EMULATION_DEPTH, LOWERED_DEPTH
from shiftforge.generator.edgebert.kernel_commands import af_bits
from shiftforge.generator.edgebert.kernel_fields import COMMAND_FIELDS, OUTCOME_WORDS
from shiftforge.generator.edgebert.kernel_memory import Stored
from shiftforge.generator.edgebert.kernel_sentence import SentenceKernels
from shiftforge.generator.edgebert.kernels import channel_bytes, unit_channels, unit_kernels
from shiftforge.generator.edgebert.sentence import memory_map
from shiftforge.generator.edgebert.sentence_program import SentencePlan
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.render import render
from shiftforge.generator.sdk import emulator_platform
from shiftforge.quant.albert.network.integer import IntegerAlbert

__all__ = ["PLAN", "affine_words", "data_files", "host_values", "plan_file", "project_files"]

PLAN = "plan.json"
_FIELDS = tuple(name for name, _ in COMMAND_FIELDS)


def plan_file(plan: SentencePlan) -> bytes:
    """The RTL's program of a sentence as JSON: its memory map and its commands.

    Addresses count beats of ``beat_bytes``; the image that a run starts from has ``beats`` of them.
    """
    whole = plan.program
    text = {
        "schema": 1,
        "tokens": whole.shape.length,
        "beat_bytes": whole.config.lanes,
        "beats": whole.beats,
        "program": whole.program,
        "results": whole.results,
        "memory": [asdict(region) for region in memory_map(plan)],
        "commands": [
            {"layer": c.layer, "name": c.label, "ideal_cycles": c.ideal_cycles}
            for c in whole.commands
        ],
    }
    return (json.dumps(text, indent=1) + "\n").encode()


def _words(kernels: SentenceKernels, tokens: int) -> NDArray[np.uint32]:
    """The commands of all launches, (commands, fields), without the trace that checks keep."""
    launches = kernels.commands(tokens)
    found = np.concatenate([launch.commands.words() for launch in launches])
    found[:, _FIELDS.index("trace")] = 0
    return found


def affine_words(kernels: SentenceKernels) -> NDArray[np.uint32]:
    """The commands of a sentence of any length, (commands, fields, 3), modulo 2^32: a field is a
    constant, plus a multiple of the tokens, plus a multiple of their row tiles."""
    lanes = np.uint32(kernels.image.lanes)
    one, two, next_tile = (_words(kernels, tokens) for tokens in (1, 2, int(lanes) + 1))
    by_token = two - one
    by_tile = next_tile - one - lanes * by_token
    return np.stack([one - by_token - by_tile, by_token, by_tile], axis=2)


def _layout(kernels: SentenceKernels) -> dict[str, Any]:
    """What the host has to know of the data."""
    network, image = kernels.network, kernels.image

    def at(where: Stored) -> dict[str, int]:
        return {"vector": where.base, "strip": where.strip}

    return {
        "schema": 1,
        "lanes": image.lanes,
        "tokens": network.length,
        "vocabulary": network.words.shape[0],
        "embedding": network.words.columns,
        "classes": list(network.classes),
        "code_bits": af_bits(kernels.design.config),
        "vectors": len(image.masks),
        "strips": len(image.beats),
        "outcome_words": OUTCOME_WORDS,
        "fields": len(_FIELDS),
        "threshold": _FIELDS.index("threshold"),
        "word": at(kernels.word),
        "place": at(kernels.place),
        "logits": at(kernels.logits),
        "launches": [
            {"kind": launch.kind, "layer": launch.layer, "commands": len(launch.commands.words())}
            for launch in kernels.commands(1)
        ],
    }


def data_files(kernels: SentenceKernels) -> dict[str, bytes]:
    """``data/*.bin``, little-endian, and ``data/layout.json``, which says what lies where.

    program: see ``affine_words``. masks, values, beats: the weights in the kernels' layout, from
    the first vector and strip on. shift, bias: of the output channels. tables: of norms and span
    masks. word_mask, word_values, place: the embeddings' codes.
    """
    network, image = kernels.network, kernels.image
    vectors, strips = kernels.constants
    arrays = {
        "program": affine_words(kernels).astype("<u4"),
        "masks": image.masks[:vectors].astype("<u4"),
        "values": image.values[:vectors],
        "beats": image.beats[:strips].astype("<i4"),
        "shift": image.shift.astype("<i4"),
        "bias": image.bias.astype("<i4"),
        "tables": image.tables.astype("<i4"),
        "word_mask": network.words.mask,
        "word_values": network.words.values,
        "place": network.place,
    }
    files = {f"data/{name}.bin": np.ascontiguousarray(a).tobytes() for name, a in arrays.items()}
    files["data/layout.json"] = (json.dumps(_layout(kernels), indent=1) + "\n").encode()
    return files


def host_values(design: UnitDesign, board: Board) -> dict[str, Any]:
    """What the templates of host program and Makefile take from the unit and the board."""
    channels = unit_channels(design)
    deep = [
        f"-DSF_DEPTH_{c.name}={c.depth if c.type == 'int' else max(c.depth, EMULATION_DEPTH)}"
        for c in channels
    ]
    lowered = [
        (
            c.name,
            c.depth if c.type == "int" else max(c.depth, LOWERED_DEPTH),
            channel_bytes(design.config, c),
        )
        for c in channels
    ]
    return {
        "version": __version__,
        "bsp": board.sdk.bsp,
        "kernels": unit_kernels(design.sfu),
        "deep": deep,
        "lowered": lowered,
        "depth_flags": " ".join(deep),
        "emulator_flags": board.sdk.emulator_flags,
        "emulator_platform": emulator_platform(board.sdk.edition, board.sdk.version),
    }


def project_files(
    design: UnitDesign, network: IntegerAlbert, plan: SentencePlan, board: Board
) -> dict[str, bytes]:
    """Files by path: ``plan.json``, ``data/`` and ``host/host.py``.

    plan: of the longest sentence, as it runs on the RTL. Raises InputError where the network does
    not suit the unit.
    """
    data = data_files(SentenceKernels(design, network))
    values = {
        **host_values(design, board),
        "data_sizes": [(PurePath(p).stem, len(d)) for p, d in data.items() if p.endswith(".bin")],
        "layout_digest": hashlib.sha256(data["data/layout.json"]).hexdigest(),
    }
    host = render("edgebert/host/host.py.j2", values)
    return {PLAN: plan_file(plan), "host/host.py": host.encode(), **data}
