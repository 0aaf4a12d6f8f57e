"""The command line: ``shiftforge COMMAND``; one module a command.

Exit codes: 0 done, 1 a check failed, 2 bad input (every problem is listed), 3 a tool failed (an
OpenCL runtime, Verilator, a compiler: nothing is known of the check), 130 interrupted.
Commands import what they run when they run, so that ``--help`` needs neither torch nor OpenCL.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

import shiftforge
from shiftforge.cli import (
    boards,
    check,
    compare,
    cosim,
    doctor,
    emulate,
    generate,
    quantize,
    train,
    unit,
)
from shiftforge.cli.output import (
    ReaderLeftError,
    begin_document,
    document_printed,
    note,
    print_json,
    print_problems,
)
from shiftforge.errors import CheckFailed, InputError, ToolFailed

__all__ = ["cli", "main", "run"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a check failed, 2 bad input, 3 a tool failed, 130 interrupted.",
)
@click.version_option(shiftforge.__version__, prog_name="shiftforge")
def cli() -> None:
    """From a PyTorch network to checked FPGA hardware without multipliers.

    The usual order: check, quantize, generate, emulate.
    """


for _module in (doctor, boards, check, quantize, train, generate, emulate, compare, cosim, unit):
    cli.add_command(_module.command)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; prints what a user must know."""
    as_json = "--json" in arguments
    begin_document()
    try:
        code = cli.main(list(arguments), prog_name="shiftforge", standalone_mode=False)
    except InputError as error:
        print_problems(error.problems, as_json=as_json)
        return 2
    except CheckFailed as error:
        return _failed("check failed", error, 1, as_json)
    except ToolFailed as error:
        return _failed("tool failed", error, 3, as_json)
    except OSError as error:
        return _failed("the system refused", error, 3, as_json)
    except click.UsageError as error:
        error.show()
        if as_json:
            _json_usage(error)
        return 2
    except (KeyboardInterrupt, click.Abort):
        note("interrupted")
        return 130
    except ReaderLeftError:
        return 0
    return code if isinstance(code, int) else 0


def _failed(what: str, error: Exception, code: int, as_json: bool) -> int:
    note(f"{what}: {error}")
    if as_json and not document_printed():
        print_json({"error": [{"what": str(error), "remedy": "", "where": ""}]})
    return code


def _json_usage(error: click.UsageError) -> None:
    remedy = f"see {error.ctx.command_path} --help" if error.ctx else "see shiftforge --help"
    print_json({"error": [{"what": error.format_message(), "remedy": remedy, "where": ""}]})


def main() -> NoReturn:
    """Entry point of the ``shiftforge`` script."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        # Ended from outside, temporary folders and children go as after an error.
        signal.signal(name, lambda number, frame: sys.exit(128 + number))
    sys.exit(run(sys.argv[1:]))
