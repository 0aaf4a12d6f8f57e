"""Board files: the shipped ones, and every kind of fault in one."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from shiftforge.boards.load import SOURCED_FIELDS, list_boards, load_board, parse_board
from shiftforge.errors import InputError

GOOD = (files("shiftforge.boards") / "a10gx1150.toml").read_text()


def problems_of(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_board(text, "mine.toml")
    assert all(p.where == "mine.toml" and p.remedy for p in caught.value.problems)
    return [p.what for p in caught.value.problems]


def test_shipped_boards() -> None:
    assert list_boards() == ("a10gx1150", "de10_nano", "de5a_net", "s10gx2800")


@pytest.mark.parametrize("name", list_boards())
def test_each_shipped_board_is_valid_and_sourced(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    latencies = {f"latencies.{name}" for name in board.latencies}
    assert set(board.sources) == set(SOURCED_FIELDS) | latencies
    assert "clock_mhz_assumed" in board.assumptions


def test_published_resources() -> None:
    a10, s10, nano = (load_board(n) for n in ("a10gx1150", "s10gx2800", "de10_nano"))
    assert (a10.alm, a10.dsp, a10.ram_blocks) == (427_200, 1_518, 2_713)
    assert (s10.alm, s10.dsp, s10.ram_blocks) == (933_120, 5_760, 11_721)
    assert (nano.alm, nano.dsp, nano.ram_blocks) == (41_910, 112, 553)
    assert a10.ram_bytes == 2_713 * 2_560
    assert (nano.sdk.edition, nano.sdk.version) == ("standard", "18.1")


def test_a_board_is_frozen() -> None:
    with pytest.raises(AttributeError):
        load_board("a10gx1150").alm = 1  # type: ignore[misc]


def test_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        load_board("A10GX115")
    (problem,) = caught.value.problems
    assert "did you mean 'a10gx1150'?" in problem.remedy
    assert all(name in problem.remedy for name in list_boards())


def test_an_own_file_without_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_kit.toml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"did you mean the file my_kit\.toml"):
        load_board("my_kit")


def test_own_file_by_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(GOOD.replace('name = "a10gx1150"', 'name = "mine"'))
    assert load_board(mine).name == "mine"
    assert load_board(str(mine)).name == "mine"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_unreadable_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.toml"):
        load_board(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("alm = 427200", "alm = 0", "alm"),
        ("alm = 427200", "alm = true", "alm"),
        ("alm = 427200", 'alm = "427200"', "alm"),
        ("alm = 427200\n", "", "alm"),
        ("alm = 427200", "alm = 427200\nlut = 3", "lut"),
        ("alm = 0.75", "alm = 1.5", "limits.alm"),
        ("ram = 0.75", "ram = nan", "limits.ram"),
        ("bandwidth_gb_s = 34.1", "bandwidth_gb_s = -34.1", "memory.bandwidth_gb_s"),
        ("bandwidth_gb_s = 34.1", "bandwidth_gb_s = inf", "memory.bandwidth_gb_s"),
        ('edition = "pro"', 'edition = "lite"', "sdk.edition"),
        ('edition = "pro"', 'edition = "standard"', "standard edition"),
        ('family = "Arria 10"', 'family = "Agilex"', "family"),
        ('family = "Arria 10"', 'family = "Cyclone V"', "M20K"),
        ("ram_block_bits = 20480", "ram_block_bits = 10240", "ram_block_bits"),
        ('dialect = "intel-fpga-pro"', 'dialect = "intel-fpga-standard"', "dialect"),
        ('"limits.ram" = ', '"limits.rum" = ', "limits.ram"),
        ("flags = []", 'flags = ["-v", 3]', "sdk.flags"),
        ("[limits]", "[limits", "TOML"),
    ],
)
def test_planted_fault_is_told(old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert any(told in what for what in problems_of(GOOD.replace(old, new)))


def test_every_problem_is_told_at_once() -> None:
    broken = GOOD.replace("alm = 427200", "alm = -1").replace("dsp = 1518\n", "").replace(
        '"sdk.bsp" = ', '"sdk.bps" = '
    )  # fmt: skip
    told = "\n".join(problems_of(broken))
    for part in ("alm", "dsp", "no entry for sdk.bsp", "'sdk.bps'"):
        assert part in told


CONV = '[latencies]\nconv = 75\n\n[sources]\n"latencies.conv" = "own report"'


def test_latencies_of_a_board() -> None:
    assert load_board("a10gx1150").latencies == {}
    assert parse_board(GOOD.replace("[sources]", CONV), "mine.toml").latencies == {"conv": 75}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("conv = 75", "conv = 0", "latencies.conv"),
        ("conv = 75", "conv = -3", "latencies.conv"),
        ("conv = 75", "conv = 75.0", "latencies.conv"),
        ("conv = 75", "conv = true", "latencies.conv"),
        ("conv = 75", 'conv = "75"', "latencies.conv"),
        ("conv = 75", "conv = 10001", "latencies.conv"),
        ("conv = 75", "conf = 75", "latencies.conf"),
        ("conv = 75", "conv = 75\npost = 90", "no entry for latencies.post"),
        ("conv = 75", "", "'latencies.conv', which is no figure"),
        ("[latencies]", "[[latencies]]", "latencies"),
    ],
)
def test_a_wrong_latency_is_told(old: str, new: str, told: str) -> None:
    text = GOOD.replace("[sources]", CONV.replace(old, new))
    assert any(told in what for what in problems_of(text))
