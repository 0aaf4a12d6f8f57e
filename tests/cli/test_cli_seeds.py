"""Seeds of simulations: ranges, and what is none."""

from __future__ import annotations

import click
import pytest

from shiftforge.cli.seeds import MOST_SEEDS, Seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", (7,)),
        ("1..3", (1, 2, 3)),
        ("4, 1..3,2,9..9", (4, 1, 2, 3, 9)),
        (f"0..{MOST_SEEDS - 1}", tuple(range(MOST_SEEDS))),
    ],
)
def test_seeds_are_named_once_in_their_order(text: str, seeds: tuple[int, ...]) -> None:
    assert Seeds().convert(text, None, None) == seeds
    assert Seeds().convert(seeds, None, None) == seeds


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no seed"),
        ("-1", "no seed"),
        ("1..", "no seed"),
        ("1-3", "no seed"),
        ("²", "no seed"),
        ("3..1", "no range"),
        (str(2**31 - 1), "no range"),
        (f"0..{MOST_SEEDS}", "more than 1,000"),
        ("0..999,5000", "more than 1,000"),
        ("0..999999999999", "no range"),
        ("9" * 40, "no seed"),
    ],
)
def test_what_is_no_seed_is_refused(text: str, what: str) -> None:
    with pytest.raises(click.BadParameter, match=what):
        Seeds().convert(text, None, None)
