"""ShiftForge: from a PyTorch network to checked FPGA hardware without multipliers.

The steps as functions: ``check``, ``quantize``, ``generate``, ``explore``, ``emulate``,
``evaluate``, ``compare``, ``report``, ``report_changes``, with ``load_model``, ``save_model``,
``load_board`` and ``load_frames``.
Importing this package imports none of them.
"""

from __future__ import annotations

# As typing has it; that module's import takes longer than the rest of a program's first steps.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from shiftforge.checking import check
    from shiftforge.evaluating import evaluate
    from shiftforge.reporting import report, report_changes
    from shiftforge.steps import (
        compare,
        emulate,
        explore,
        generate,
        load_board,
        load_frames,
        load_model,
        quantize,
        save_model,
    )

__version__ = "0.1.0"

__all__ = [
    "check",
    "compare",
    "emulate",
    "evaluate",
    "explore",
    "generate",
    "load_board",
    "load_frames",
    "load_model",
    "quantize",
    "report",
    "report_changes",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name == "check":
        from shiftforge.checking import check

        return check
    if name == "evaluate":
        from shiftforge.evaluating import evaluate

        return evaluate
    if name in ("report", "report_changes"):
        from shiftforge import reporting

        return getattr(reporting, name)
    if name in __all__:
        from shiftforge import steps

        return getattr(steps, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
