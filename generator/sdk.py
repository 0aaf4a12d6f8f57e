"""What follows from the version of Intel's SDK."""

from __future__ import annotations

__all__ = ["emulator_platform"]


def emulator_platform(edition: str, version: str) -> str:
    """Part of the platform name of the SDK's default emulator (the fast one since Pro 19.3)."""
    parts = tuple(int(part) for part in version.split(".") if part.isdigit())
    return "Emulation" if edition == "pro" and parts >= (19, 3) else "FPGA SDK"
