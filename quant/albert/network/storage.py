"""What an integer classifier takes in memory: bit masks with packed values, and the tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.albert.network.integer import LINEARS, IntegerAlbert

__all__ = ["storage"]


def _values(codes: NDArray[np.uint8], weights: str) -> int:
    """Codes that are stored (docs/EDGEBERT_UNIT.md 1.7)."""
    bits = {"af": 0x7F, "shift1": 0x07, "shift2": 0x77}[weights]
    return int(np.count_nonzero(codes & np.uint8(bits)))


def _bytes(bits: int) -> int:
    return -(-bits // 8)


def storage(network: IntegerAlbert) -> dict[str, float]:
    """Bytes by part, and densities (0..1).

    encoder: the layer's six matrices and the embedding mapping; ramps: the off-ramps' matrices;
    embedding: the word table. Each has ``_mask`` (a bit a weight), ``_values`` (``bits`` a value
    that is not zero: network.bits for AF, 4 for one SHIFT term, 8 for two), ``_dense`` (all
    weights at so many bits) and ``_density``. encoder_split_values: two-term weights at 4 bits for
    the first term, a bit for whether there is a second, 4 bits for each second (otherwise equal to
    encoder_values). tables: place codes, layer norms' gamma and beta, biases, exponents, spans
    (2 bytes an entry). total: masks, values and tables.
    """
    bits = {"af": network.bits, "shift1": 4, "shift2": 8}[network.weights]
    groups = {
        "encoder": [network.linears[name].codes for name in LINEARS],
        "ramps": [ramp.codes for ramp in network.ramps],
    }
    out: dict[str, float] = {}
    for name, matrices in groups.items():
        count = sum(codes.size for codes in matrices)
        kept = sum(_values(codes, network.weights) for codes in matrices)
        out[f"{name}_mask"] = _bytes(count)
        out[f"{name}_values"] = _bytes(kept * bits)
        out[f"{name}_dense"] = _bytes(count * bits)
        out[f"{name}_density"] = kept / max(count, 1)
    out["encoder_split_values"] = out["encoder_values"]
    if network.weights == "shift2":
        matrices = groups["encoder"]
        kept = sum(_values(codes, "shift2") for codes in matrices)
        both = sum(
            int(np.count_nonzero((codes & 0x07 != 0) & (codes & 0x70 != 0))) for codes in matrices
        )
        out["encoder_split_values"] = _bytes(5 * kept + 4 * both)
    words = network.words
    out["embedding_mask"], out["embedding_values"] = words.mask_bytes, words.value_bytes
    out["embedding_dense"] = words.shape[0] * words.shape[1]
    out["embedding_density"] = words.density
    out["tables"] = sum(
        array.nbytes
        for name, array in network.arrays().items()
        if name in ("place", "spans") or name.endswith((".bias", ".exponent", ".gamma", ".beta"))
    )
    out["total"] = out["tables"] + sum(
        out[f"{name}_{part}"]
        for name in ("encoder", "ramps", "embedding")
        for part in ("mask", "values")
    )
    return out
