"""The command word of the EdgeBERT unit's kernels: one description for text and host."""

from __future__ import annotations

__all__ = ["FUNCTIONS", "COMMAND_FIELDS", "OUTCOME_WORDS"]

FUNCTIONS = ("none", "gelu", "softmax", "norm")
"""What happens between accumulators and store; norm takes no product, but A + B."""

OUTCOME_WORDS = 8
"""Words that a command with ``entropy`` leaves: entropy, exit, layer, point, late, and padding."""

COMMAND_FIELDS = (
    ("m", "rows of A"),
    ("n", "columns of the result"),
    ("m_tiles", "row tiles"),
    ("n_tiles", "column tiles of the result"),
    ("k_tiles", "K-steps of the operands"),
    ("codes", "1: B holds AdaptivFloat codes although the weights are SHIFT"),
    ("relu", "1: negative results become 0"),
    ("fixed", "1: the results stay fixed point"),
    ("transposed", "1: the result is drained by columns and stored transposed"),
    ("function", "special function of the results"),
    ("entropy", "1: row 0 of the results goes to the entropy unit too"),
    ("fraction", "fraction bits of the fixed point"),
    ("out_bias", "exponent bias of the AdaptivFloat results"),
    ("a_base", "A: first vector"),
    ("a_strip", "A: first strip"),
    ("a_part_steps", "A: K-steps of a part"),
    ("a_part_strips", "A: strips of a part"),
    ("b_base", "B: first vector"),
    ("b_strip", "B: first strip"),
    ("b_part_steps", "B: K-steps of a part"),
    ("b_part_strips", "B: strips of a part"),
    ("c_base", "C: first vector, or first row of fixed point"),
    ("c_strip", "C: first strip"),
    ("c_parts", "C: parts"),
    ("c_part_steps", "C: K-steps of a part"),
    ("c_part_strips", "C: strips of a part"),
    ("p_base", "first column tile's shifts and biases"),
    ("table", "first word of the function's table: span mask; gamma and beta; exit layers"),
    ("masked", "softmax: 1: the probabilities are scaled by the span mask"),
    ("a_bias", "norm: exponent bias of A"),
    ("b_bias", "norm: exponent bias of B"),
    ("sum_bias", "norm: exponent bias of A + B"),
    ("reciprocal", "norm: 2^(23 + hb) / n"),
    ("size_bits", "norm: hb"),
    ("root", "norm: square root of n, 15 - root_shift fraction bits"),
    ("root_shift", "norm: its exponent"),
    ("epsilon", "norm: epsilon of the sums, unsigned"),
    ("gamma_fraction", "norm: fraction bits of gamma"),
    ("threshold", "entropy of the exit, 16 fraction bits, unsigned"),
    ("outcome", "entropy: first word of the outcome"),
    ("rows", "entries of the exit-layer table, 0: no choice of voltage and frequency"),
    ("points", "voltage/frequency points, which follow the exit layers"),
    ("scale", "of an entropy to a row of the exit-layer table, unsigned"),
    ("layers", "layers of the network"),
    ("layer_cycles", "cycles of a layer"),
    ("cycles_left", "cycles of the reference clock until the target"),
    ("trace", "first row of the trace, for SF_TRACE"),
)
"""Fields of a command, in order: 32-bit integers. Bases count vectors and strips of the tensors."""
