"""What follows from the version of Intel's SDK."""

from __future__ import annotations

__all__ = ["emulator_platform"]

_FAST = "Intel(R) FPGA Emulation Platform for OpenCL(TM)"
_LEGACY = "Intel(R) FPGA SDK for OpenCL(TM)"
"""The boards' own; the environment of the legacy emulator's runs puts it in their place."""


def emulator_platform(edition: str, version: str) -> str:
    """The platform name of the SDK's default emulator (the fast one since Pro 19.3)."""
    parts = tuple(int(part) for part in version.split(".") if part.isdigit())
    return _FAST if edition == "pro" and parts >= (19, 3) else _LEGACY
