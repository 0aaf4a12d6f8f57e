"""Fixtures of several rooms: generated folders, device processes, and the switch for goldens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from device_client import DeviceClient
from devices import Count, as_users_compile, compile_fast, enter, lowered_device, unmet

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.target import generate
from shiftforge.kept import OFF
from shiftforge.quant.graph.types import QuantizedModel

Generate = Callable[..., Path]

# Every test makes its designs; tests of keeping them switch it on.
os.environ.setdefault(OFF, "designs,counts")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-goldens",
        action="store_true",
        help="write the generated text anew into tests/golden instead of comparing with it",
    )

    parser.addoption(
        "--require-devices",
        action="store_true",
        help="fail unless tests ran on a device without channels and on the FPGA emulator",
    )

    parser.addoption(
        "--optimised",
        action="store_true",
        help="all kernels are compiled as they are for users (without it, few are optimised)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--optimised"):
        compile_fast()


_count = Count()


def pytest_sessionstart(session: pytest.Session) -> None:
    """A suite that cannot meet its needs ends before it takes minutes."""
    if session.config.getoption("--require-devices") and not hasattr(session.config, "workerinput"):
        reason = unmet()
        if reason:
            pytest.exit(reason, returncode=1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if item.get_closest_marker("optimised"):
        with as_users_compile():
            return (yield)
    return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    enter(item)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _count.add(report)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    needed = session.config.getoption("--require-devices")
    if needed and not hasattr(session.config, "workerinput") and _count.missing():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if _count.ran or _count.skipped or config.getoption("--require-devices"):
        terminalreporter.section("OpenCL devices")
        for line in _count.lines():
            terminalreporter.line(line)
        if config.getoption("--require-devices") and _count.missing():
            terminalreporter.line(f"FAILED: {_count.missing()}", red=True)


@pytest.fixture
def lowered() -> str:
    """A usable device without channels."""
    return lowered_device()


@pytest.fixture
def refresh_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether the goldens are to be written anew."""
    return bool(request.config.getoption("--refresh-goldens"))


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Generate:
    """generated(model, units, pixels, frames) -> a folder with the design; equal for equal calls.

    Nobody may change the folder: copy it where a test plants a fault.
    """
    made: dict[tuple[int, int, int, int], tuple[Path, QuantizedModel]] = {}

    def make(model: QuantizedModel, units: int = 16, pixels: int = 7, frames: int = 1) -> Path:
        key = (id(model), units, pixels, frames)
        if key not in made:
            folder = tmp_path_factory.mktemp("design") / "project"
            board = load_board("s10gx2800")
            design = generate(model, board, units=units, pixels=pixels, frames=frames)
            design.write(folder)
            made[key] = (folder, model)  # holding the model keeps its id its own
        return made[key][0]

    return make


@pytest.fixture(scope="session")
def on_device() -> Iterator[Callable[[str], DeviceClient]]:
    """on_device(name) -> the process that builds and runs designs on that device."""
    clients: dict[str, DeviceClient] = {}

    def client(device: str) -> DeviceClient:
        if device not in clients:
            clients[device] = DeviceClient(device)
        return clients[device]

    yield client
    for c in clients.values():
        c.close()


@pytest.fixture(autouse=True, scope="module")
def _one_thread_for_albert(request: pytest.FixtureRequest) -> Iterator[None]:
    """ALBERT's tensors are small here: torch's threads would wait for each other, and keep all
    processors busy where other tests run at the same time."""
    torch = sys.modules.get("torch")
    if torch is None or "albert" not in request.module.__name__:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
