"""Executes a program of the processing unit in a memory image, a command at a time.

Written from the layout of commands and strips, with decoding of its own (slow, element by
element); the arithmetic is the golden reference's. What the registers say of the buffers is
checked against their sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.edgebert.registers import FUNCTIONS, unit_registers
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.golden.edgebert.add import add_af
from shiftforge.sim.golden.edgebert.afcode import AfFormat, af_to_fixed, fixed_to_af
from shiftforge.sim.golden.edgebert.gelu import gelu
from shiftforge.sim.golden.edgebert.layernorm import NormConstants, layer_norm
from shiftforge.sim.golden.edgebert.mac import matmul_af, matmul_shift
from shiftforge.sim.golden.edgebert.post import post_fixed
from shiftforge.sim.golden.edgebert.softmax import softmax_af

Matrix = NDArray[Any]
SIGNED = ("out_bias", "a_bias", "b_bias", "sum_bias")
TABLE = 6


class Interpreter:
    """image: (beats, lanes) bytes, changed by ``run``. taps: the lines that a run leaves.

    written: the beats that were; written_once: whether none may be written again.
    """

    def __init__(self, image: Matrix, design: UnitDesign) -> None:
        config = design.config
        self.image, self.config, self.sfu = image, config, design.functions
        self.n = config.lanes
        self.fmt = AfFormat(config.af_bits, config.exp_bits)
        self.taps: list[str] = []
        self.table = np.zeros((0, TABLE, self.n), dtype=np.uint8)
        self.written = np.zeros(len(image), dtype=bool)
        self.written_once = True

    def run(self, program: int) -> int:
        """Execute until a command stops; the number of commands."""
        names = unit_registers(self.config)
        size = -(-4 * len(names) // self.n)
        count = 0
        while True:
            data = self.image[program : program + size].tobytes()
            r = {}
            for i, register in enumerate(names):
                value = int.from_bytes(data[4 * i : 4 * i + 4], "little")
                assert value < 1 << register.width, register.name
                if register.name in SIGNED and value >= 1 << (register.width - 1):
                    value -= 1 << register.width
                r[register.name] = value
            self.command(r)
            program += size
            count += 1
            if r["stop"]:
                return count

    def strip(self, at: int, desc: int, vectors: int, stride: int, pack: int) -> Matrix:
        """(vectors, lanes) codes."""
        n, image = self.n, self.image
        beats = int(image[desc, 0]) + 256 * int(image[desc, 1])
        out = np.zeros((vectors, n), dtype=np.uint8)
        used = [0] * n
        for v in range(vectors):
            word = image[at + v // 8]
            for lane in range(n):
                bit = (v % 8) * n + lane
                if word[bit // 8] >> (bit % 8) & 1:
                    value = int(image[at + stride // 8 + used[lane] // pack, lane])
                    if pack == 2:
                        value = value >> 4 if used[lane] % 2 else value & 15
                    out[v, lane] = value
                    used[lane] += 1
        assert max(used) <= pack * beats, "a descriptor is too small"
        return out

    def rows_of(self, vectors: Matrix) -> Matrix:
        """(lanes, steps * lanes) of a strip's vectors."""
        n = self.n
        steps = len(vectors) // n
        return np.concatenate([vectors[q * n : (q + 1) * n] for q in range(steps)], axis=1)

    def operand_a(self, r: dict[str, int]) -> Matrix:
        assert r["a_parts"] * r["part_rows"] == r["k_stride"] and r["part_rows"] % 8 == 0
        assert 1 <= r["a_slots"] <= self.config.a_rows // r["k_stride"]
        assert r["a_parts"] * r["m_tiles"] <= self.config.max_tiles
        vectors = r["k_tiles"] // r["a_parts"] * self.n
        tiles = []
        for tile in range(r["m_tiles"]):
            parts = [
                self.rows_of(
                    self.strip(
                        r["a_base"] + p * r["a_part_pitch"] + tile * r["a_pitch"],
                        r["a_desc"] + p * r["m_tiles"] + tile,
                        vectors,
                        r["part_rows"],
                        1,
                    )
                )
                for p in range(r["a_parts"])
            ]
            tiles.append(np.concatenate(parts, axis=1))
        return np.concatenate(tiles)

    def operand_b(self, r: dict[str, int]) -> Matrix:
        codes = self.config.weights == "af" or r["b_codes"] == 1
        assert 1 <= r["b_slots"] <= self.config.b_rows // r["k_stride"]
        assert r["b_strips"] <= self.config.max_tiles
        if r["b_resident"]:
            assert r["b_slots"] >= r["b_strips"] and r["b_passes"] == 1
        pack = 1 if codes else self.config.weight_pack
        strips = [
            self.strip(
                r["b_base"] + j * r["b_pitch"],
                r["b_desc"] + j,
                r["k_tiles"] * self.n,
                r["k_stride"],
                pack,
            )
            for j in range(r["b_strips"])
        ]
        return np.concatenate([self.rows_of(strip) for strip in strips])

    def params(self, r: dict[str, int]) -> tuple[Matrix, Matrix]:
        shift, bias = [], []
        for tile in range(r["n_tiles"]):
            block = self.image[r["p_base"] + 5 * tile : r["p_base"] + 5 * tile + 5]
            for lane in range(self.n):
                bias.append(int.from_bytes(block[:4, lane].tobytes(), "little", signed=True))
                amount = int(block[4, lane])
                shift.append(amount - 128 if amount >= 64 else amount)
        return np.array(shift), np.array(bias)

    def product(self, r: dict[str, int]) -> Matrix:
        """Fixed point (row tiles * lanes, column tiles * lanes)."""
        a, b = self.operand_a(r), self.operand_b(r)
        assert r["b_strips"] == r["n_tiles"]
        assert r["b_resident"] or r["b_passes"] == -(-r["m_tiles"] // r["group"])
        lanes, mode = self.n, self.config.accumulator
        if self.config.weights == "af" or r["b_codes"]:
            split = self.config.terms if r["b_codes"] else 0
            expected = -(-(self.config.man_bits + 1) // split) if split else 1
            assert r["passes"] == expected
            acc = matmul_af(a, b.T, lanes, mode, self.fmt, split)
        else:
            assert r["passes"] == 1
            acc = matmul_shift(a, b.T, self.config.terms, lanes, mode, self.fmt)
        shift, bias = self.params(r)
        return post_fixed(acc, shift, bias, "relu" if r["relu"] else "none")

    def tap_rows(self, r: dict[str, int], t: Matrix) -> None:
        n = self.n
        for first in range(0, r["m_tiles"], r["group"]):
            for column in range(r["n_tiles"]):
                for tile in range(first, min(first + r["group"], r["m_tiles"])):
                    for row in range(n):
                        words = t[tile * n + row, column * n : column * n + n]
                        text = "".join(f"{int(w) & 0xFFFFFFFF:08x}" for w in words[::-1])
                        self.taps.append(f"F {len(self.taps)} {text}")

    def tap_sums(self, r: dict[str, int], sums: Matrix) -> None:
        n = self.n
        for tile in range(r["m_tiles"]):
            for step in range(r["c_steps"]):
                for row in range(n):
                    codes = sums[tile * n + row, step * n : step * n + n]
                    text = "".join(f"{int(c):02x}" for c in codes[::-1])
                    self.taps.append(f"S {len(self.taps)} {text}")

    def load_table(self, r: dict[str, int]) -> None:
        if r["f_rows"]:
            at = r["f_base"]
            rows = self.image[at : at + TABLE * r["f_rows"]]
            self.table = rows.reshape(-1, TABLE, self.n).copy()

    def normed(self, r: dict[str, int]) -> Matrix:
        n, h, f = self.n, r["length"], self.sfu.fraction
        assert r["n_tiles"] == 1 and r["group"] == 1 and not r["b_resident"] and not r["p_load"]
        assert r["b_strips"] == r["m_tiles"] and r["k_tiles"] == r["c_steps"]
        assert self.config.weights == "af" or r["b_codes"]
        a, b = self.operand_a(r), self.operand_b(r)
        sums = add_af(a, r["a_bias"], b, r["b_bias"], r["sum_bias"], self.fmt)
        self.tap_sums(r, sums)
        words = self.table.astype(np.int64)
        beta = sum(words[:, i] << (8 * i) for i in range(4)).reshape(-1)[:h]
        gamma = (words[:, 4] | words[:, 5] << 8).reshape(-1)[:h]
        beta = np.where(beta >= 2**31, beta - 2**32, beta)
        gamma = np.where(gamma >= 2**15, gamma - 2**16, gamma)
        constants = NormConstants(
            h, f, r["recip"], r["len_bits"], r["root"], r["root_shift"], r["epsilon"]
        )
        x = af_to_fixed(sums[:, :h], r["sum_bias"], f, self.fmt)
        y = layer_norm(x, gamma, beta, r["gamma_frac"], constants)
        out = np.zeros((r["m_tiles"] * n, r["c_steps"] * n), dtype=np.uint8)
        out[:, :h] = fixed_to_af(y, f, r["out_bias"], self.fmt)
        return out

    def softmaxed(self, r: dict[str, int], t: Matrix) -> Matrix:
        length = r["length"]
        assert r["group"] == 1 and r["c_parts"] == 1
        table = (
            self.table[:, 0].astype(np.int64) | self.table[:, 1].astype(np.int64) << 8
        ).reshape(-1)
        rows = np.arange(len(t))
        apart = np.abs(rows[:, None] - np.arange(length)[None, :])
        mask = np.where(apart < len(table), table[np.minimum(apart, len(table) - 1)], 0)
        out = np.zeros(t.shape, dtype=np.uint8)
        out[:, :length] = softmax_af(
            t[:, :length], self.sfu.fraction, r["out_bias"], mask, self.fmt
        )
        return out

    def command(self, r: dict[str, int]) -> None:
        n, func = self.n, FUNCTIONS[r["func"]]
        self.load_table(r)
        rows = (r["m_tiles"] - 1) * n + r["last_rows"] + 1
        if func == "norm":
            codes = self.normed(r)
            columns = r["length"]
        else:
            t = self.product(r)
            columns = (r["n_tiles"] - 1) * n + r["last_lanes"] + 1
            if func in ("gelu", "softmax"):
                self.tap_rows(r, t)
            if func == "softmax":
                codes = self.softmaxed(r, t)
            else:
                t = gelu(t, self.sfu.fraction) if func == "gelu" else t
                codes = fixed_to_af(t, r["frac"], r["out_bias"], self.fmt)
        codes = codes.copy()
        codes[rows:] = 0
        codes[:, columns:] = 0
        self.check_slots(r, func)
        self.store(r, codes.T if r["transpose"] else codes)

    def check_slots(self, r: dict[str, int], func: str) -> None:
        config, n = self.config, self.n
        vectors = r["c_steps"] * n
        assert r["c_stride"] == -(-vectors // 8) * 8
        assert 1 <= r["c_slots"] <= min(16, config.c_rows // r["c_stride"])
        assert r["c_strips"] == r["c_rows"] * r["c_parts"]
        if func in ("softmax", "norm"):
            words = config.aux_buffer // (4 * n)
            need = vectors if func == "softmax" else -(-vectors // 4)
            assert r["r_stride"] == need and 1 <= r["r_slots"] <= words // need
        else:
            assert (r["r_slots"], r["r_stride"]) == (r["c_slots"], r["c_stride"])
        if r["transpose"]:
            assert r["group"] == r["m_tiles"] <= r["a_slots"] and r["c_group"] == r["c_rows"]
        else:
            assert r["c_group"] == r["group"] <= min(r["a_slots"], r["c_slots"])

    def store(self, r: dict[str, int], codes: Matrix) -> None:
        n, width = self.n, r["c_steps"] * self.n
        assert codes.shape == (r["c_rows"] * n, r["c_parts"] * width)
        for part in range(r["c_parts"]):
            for tile in range(r["c_rows"]):
                block = codes[tile * n : tile * n + n, part * width : (part + 1) * width]
                vectors = [
                    block[row, q * n : q * n + n] for q in range(r["c_steps"]) for row in range(n)
                ]
                at = r["c_base"] + part * r["c_part_pitch"] + tile * r["c_pitch"]
                self.store_strip(vectors, at, r["c_desc"] + part * r["c_rows"] + tile, r)

    def store_strip(self, vectors: list[Matrix], at: int, desc: int, r: dict[str, int]) -> None:
        n, stride = self.n, r["c_stride"]
        used = [0] * n
        bits = np.zeros(stride * n, dtype=np.uint8)
        depth = int((np.stack(vectors) != 0).sum(axis=0).max())
        self.image[at + stride // 8 : at + stride // 8 + depth] = 0
        for v, vector in enumerate(vectors):
            for lane in range(n):
                if vector[lane]:
                    bits[v * n + lane] = 1
                    self.image[at + stride // 8 + used[lane], lane] = vector[lane]
                    used[lane] += 1
        masks = np.packbits(bits, bitorder="little").reshape(-1, n)
        self.image[at : at + len(masks)] = masks
        self.image[desc] = 0
        self.image[desc, :2] = (max(used) & 255, max(used) >> 8)
        assert stride // 8 + max(used) <= r["c_pitch"]
        for first, count in ((at, stride // 8 + max(used)), (desc, 1)):
            assert not (self.written_once and self.written[first : first + count].any())
            self.written[first : first + count] = True
