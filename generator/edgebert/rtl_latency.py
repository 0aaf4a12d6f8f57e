"""Register stages of the RTL's pipelines, where each stands once.

Templates are laid out for these counts: a stage more or less changes the template and its number.
"""

from __future__ import annotations

__all__ = [
    "ADD_LATENCY",
    "AF_TO_FIXED_STAGES",
    "CENTRE_STAGES",
    "EXP2_STAGES",
    "EXP_LANE_STAGES",
    "EXP_LOG_STAGE",
    "EXP_ROW_STAGES",
    "FIXED_LATENCY",
    "GELU_LATENCY",
    "GELU_STAGES",
    "LOG2_STAGES",
    "MEAN_STAGES",
    "NORMALISE_STAGES",
    "POST_LATENCY",
    "ROOT_STAGES",
    "ROUND_STAGES",
    "TO_AF_LATENCY",
    "array_latency",
    "norm_y_stages",
]

TO_AF_LATENCY = 4
"""pu_to_af: size; first of two normalising shifts; second; rounded and limited."""
FIXED_LATENCY = 3
"""pu_post, to the value before its conversion: two shifts; bias, limits and activation."""
POST_LATENCY = FIXED_LATENCY + TO_AF_LATENCY

ROUND_STAGES = 3
"""sfu_round: shifted by eights; shifted to the place; rounded up or not."""
NORMALISE_STAGES = 4
"""sfu_normalise: to 16 bits, to 4, to the leading one; rounded."""
EXP2_STAGES = 3 + ROUND_STAGES
"""sfu_exp2: table; slope; line; rounded."""
EXP_LOG_STAGE = 4
"""sfu_exp_lane: the stage that adds log2 of the sum; behind difference, limit, product, round."""
EXP_LANE_STAGES = EXP_LOG_STAGE + 1 + EXP2_STAGES
EXP_ROW_STAGES = 1 + EXP_LANE_STAGES
"""sfu_exprow: a vector's register, then its lanes."""
LOG2_STAGES = NORMALISE_STAGES + 4
"""sfu_log2: normalised; table; slope; line; rounded."""
AF_TO_FIXED_STAGES = 4
"""sfu_af_to_fixed: place of the point; limits; shifted; signed."""
MEAN_STAGES = 3 + ROUND_STAGES + 3
"""sfu_mean: three of the product; rounded; differences; farther end; its exponent."""
CENTRE_STAGES = 2 + ROUND_STAGES
"""sfu_centre: difference; rounded; limited."""
ROOT_STAGES = ROUND_STAGES + 1 + NORMALISE_STAGES + 8
"""sfu_root: epsilon, added; normalised; two of tables; slope; line; root; product; rounded;
doubled or not."""
GELU_STAGES = 7
"""sfu_gelu: size; two of the table; slope; line; rounded; subtracted."""
GELU_LATENCY = GELU_STAGES + TO_AF_LATENCY
ADD_LATENCY = 4 + TO_AF_LATENCY
"""sfu_add: places; shifted; signed; added; then the code."""


def norm_y_stages(fraction: int) -> int:
    """sfu_layernorm, pass 3: register, centred, times the factor, rounded, limited, times gamma,
    rounded, beta added, limited; above 10 fraction bits limited before beta too."""
    return 1 + CENTRE_STAGES + 1 + ROUND_STAGES + 2 + ROUND_STAGES + 2 + (fraction > 10)


def array_latency(lanes: int) -> int:
    """pu_array, from a row of A to its sums: code, operand, three of a lane, one for each level of
    the adder tree, accumulated."""
    return 6 + (lanes - 1).bit_length()
