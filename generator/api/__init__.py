"""ShiftForge: from a PyTorch network to checked FPGA hardware without multipliers."""

from __future__ import annotations

__version__ = "0.1.0"
