"""Where the operands of a matrix product lie and how they share the buffers."""

from __future__ import annotations

from dataclasses import dataclass

from shiftforge.errors import InputError, Problem
from shiftforge.generator.plan.unit import MASKS_PER_BEAT, UnitConfig

__all__ = ["PARAM_BEATS", "MatmulPlan", "plan_matmul"]

PARAM_BEATS = 5  # a column tile's parameters: four bytes of bias and one of shift a lane
SLOT_LIMIT = 255
GROUP_LIMIT = 16


@dataclass(frozen=True)
class MatmulPlan:
    """A product of (m, k) by (n, k) transposed: register values and the memory map.

    registers: by register name. beats: size of the external memory image. ideal_cycles:
    ceil(m/lanes) * ceil(n/lanes) * ceil(k/lanes) * lanes.
    """

    config: UnitConfig
    m: int
    k: int
    n: int
    registers: dict[str, int]
    beats: int
    ideal_cycles: int


def _tiles(size: int, lanes: int) -> int:
    return -(-size // lanes)


def plan_matmul(
    config: UnitConfig,
    m: int,
    k: int,
    n: int,
    *,
    frac: int = 0,
    out_bias: int = 0,
    relu: bool = False,
    group: int | None = None,
) -> MatmulPlan:
    """Register values of a product.

    frac: fractional bits, 0..31; out_bias: exponent bias of the results, -128..127.
    group: row tiles that share a column tile on chip; 1 for row tiles one after the other. The
    results do not depend on it, the external traffic does. None: 1 where all of B stays on chip
    (nothing is fetched twice, and the results leave evenly), else as many as the buffers hold.
    Raises InputError where the product does not fit the unit.
    """
    lanes = config.lanes
    problems = []
    for name, size in (("m", m), ("k", k), ("n", n)):
        if size < 1:
            problems.append(Problem(f"{name} is {size}", "give a size of at least 1", "product"))
    m_tiles, n_tiles, k_tiles = _tiles(m, lanes), _tiles(n, lanes), _tiles(k, lanes)
    vectors, c_vectors = k_tiles * lanes, n_tiles * lanes
    k_stride = -(-vectors // MASKS_PER_BEAT) * MASKS_PER_BEAT
    c_stride = -(-c_vectors // MASKS_PER_BEAT) * MASKS_PER_BEAT
    a_slots = min(config.a_rows // k_stride, SLOT_LIMIT) if k_stride else 0
    b_slots = min(config.b_rows // k_stride, SLOT_LIMIT) if k_stride else 0
    c_slots = min(config.c_rows // c_stride, config.c_slots) if c_stride else 0
    limit = min(a_slots, b_slots)
    if not problems and limit < 1:
        problems.append(
            Problem(f"k = {k} does not fit the operand buffers", "use larger buffers", "product")
        )
    if not problems and c_slots < 1:
        problems.append(
            Problem(f"n = {n} does not fit the result buffer", "use a larger buffer", "product")
        )
    for name, tiles in (("m", m_tiles), ("n", n_tiles)):
        if tiles > config.max_tiles:
            problems.append(
                Problem(
                    f"{name} needs {tiles} tiles, the unit has {config.max_tiles}",
                    "raise max_tiles or cut the product",
                    "product",
                )
            )
    most = min(a_slots, c_slots, GROUP_LIMIT)
    if group is not None and not 1 <= group <= most:
        problems.append(Problem(f"a group of {group} row tiles", f"choose 1 to {most}", "product"))
    if not 0 <= frac <= 31:
        problems.append(Problem(f"{frac} fractional bits", "choose 0 to 31", "product"))
    if not -128 <= out_bias <= 127:
        problems.append(Problem(f"exponent bias {out_bias}", "choose -128 to 127", "product"))
    if problems:
        raise InputError(problems)

    resident = n_tiles <= b_slots
    chosen = group or (1 if resident else min(m_tiles, most))
    pitch = k_stride // MASKS_PER_BEAT + k_stride
    b_pitch = k_stride // MASKS_PER_BEAT + _tiles(k_stride, config.weight_pack)
    c_pitch = c_stride // MASKS_PER_BEAT + c_stride
    at = 0
    place = {}
    for name, beats in (
        ("a_desc", m_tiles),
        ("b_desc", n_tiles),
        ("p_base", PARAM_BEATS * n_tiles),
        ("a_base", pitch * m_tiles),
        ("b_base", b_pitch * n_tiles),
        ("c_desc", m_tiles),
        ("c_base", c_pitch * m_tiles),
    ):
        place[name] = at
        at += beats
    registers = {
        "m_tiles": m_tiles,
        "n_tiles": n_tiles,
        "k_tiles": k_tiles,
        "passes": 1,
        "b_codes": 0,
        "group": chosen,
        "a_slots": a_slots,
        "b_slots": n_tiles if resident else b_slots,
        "b_resident": int(resident),
        "b_strips": n_tiles,
        "b_passes": 1 if resident else _tiles(m_tiles, chosen),
        "k_stride": k_stride,
        "a_parts": 1,
        "part_rows": k_stride,
        "a_part_pitch": 0,
        "p_load": 1,
        "f_base": 0,
        "f_rows": 0,
        "r_slots": c_slots,
        "r_stride": c_stride,
        "c_slots": c_slots,
        "c_stride": c_stride,
        "c_steps": n_tiles,
        "c_rows": m_tiles,
        "c_group": chosen,
        "c_parts": 1,
        "c_strips": m_tiles,
        "c_part_pitch": 0,
        "transpose": 0,
        **place,
        "a_pitch": pitch,
        "b_pitch": b_pitch,
        "c_pitch": c_pitch,
        "last_rows": (m - 1) % lanes,
        "last_lanes": (n - 1) % lanes,
        "relu": int(relu),
        "frac": frac,
        "out_bias": out_bias & 0xFF,
        "func": 0,
    }
    return MatmulPlan(config, m, k, n, registers, at, m_tiles * n_tiles * k_tiles * lanes)
