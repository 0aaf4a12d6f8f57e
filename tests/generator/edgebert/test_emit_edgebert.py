"""The text of the EdgeBERT unit: goldens.

After a change of the templates that is meant:
``pytest tests/generator/edgebert/test_emit_edgebert.py --refresh-goldens``, and look at the
difference before it is committed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftforge.generator.edgebert.kernel_fields import COMMAND_FIELDS, FUNCTIONS
from shiftforge.generator.edgebert.kernels import render_edgebert
from shiftforge.generator.edgebert.registers import FUNCTIONS as REGISTER_FUNCTIONS
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.rules.check import check_rules

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = {
    "af": UnitDesign(UnitConfig(), SfuConfig()),
    "two_terms": UnitDesign(UnitConfig(lanes=8, weights="shift", terms=2), SfuConfig(lanes=8)),
    "matrix_exact": UnitDesign(UnitConfig(lanes=4, weights="shift", accumulator="exact")),
}


@pytest.mark.parametrize("case", CASES)
def test_the_text_is_the_golden_one(case: str, refresh_goldens: bool) -> None:
    text = render_edgebert(CASES[case])
    path = GOLDEN / f"edgebert_{case}.cl"
    if refresh_goldens:
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), "no golden: run pytest with --refresh-goldens"
    assert text == path.read_text(encoding="utf-8"), (
        f"{path.name} differs; if that is meant: pytest "
        "tests/generator/edgebert/test_emit_edgebert.py --refresh-goldens"
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "defines", [{}, {"SF_EMULATOR": "1"}, {"SF_LOWERED": "1"}, {"SF_TRACE": "1"}], ids=str
)
def test_the_goldens_keep_intels_rules(case: str, defines: dict[str, str]) -> None:
    text = (GOLDEN / f"edgebert_{case}.cl").read_text(encoding="utf-8")
    found = check_rules(text, source_name=case, defines=defines)
    assert not [str(v) for v in found if v.severity == "error" or not defines]


@pytest.mark.parametrize("case", CASES)
def test_the_text_is_ready_to_be_read(case: str) -> None:
    text = render_edgebert(CASES[case])
    lines = text.split("\n")
    assert text.endswith("}\n\n#endif\n")
    assert not [line for line in lines if line != line.rstrip() or "\t" in line]
    assert "\n\n\n" not in text
    assert max(len(line) for line in lines) <= 102


def test_a_command_has_the_functions_of_the_registers() -> None:
    assert FUNCTIONS == REGISTER_FUNCTIONS
    names = [name for name, _ in COMMAND_FIELDS]
    assert len(set(names)) == len(names)
