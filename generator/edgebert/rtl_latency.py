"""Register stages of the RTL's pipelines, where each stands once.

Templates are laid out for these counts: a stage more or less changes the template and its number.
"""

from __future__ import annotations

__all__ = ["ARRAY_LATENCY", "GELU_LATENCY", "TO_AF_LATENCY"]

TO_AF_LATENCY = 4
"""pu_to_af: size; first of two normalising shifts; second; rounded and limited."""
ARRAY_LATENCY = 4
GELU_LATENCY = 4
