"""Why an array has two shifters a lane: the layers whose weights may have two terms."""

from __future__ import annotations

from shiftforge.quant.graph.types import QuantizedModel, ShiftFormat

__all__ = ["terms_note", "two_term_layers"]

_NAMED = 4


def two_term_layers(model: QuantizedModel) -> tuple[str, ...]:
    """Convolutions that need two shifters a lane; none where the array has one, or multipliers."""
    formats = {conv.name: conv.format for conv in model.conv_nodes()}
    if not all(isinstance(own, ShiftFormat) for own in formats.values()):
        return ()
    return tuple(
        name for name, own in formats.items() if isinstance(own, ShiftFormat) and own.terms == 2
    )


def terms_note(model: QuantizedModel) -> str:
    """What made the array two-term and what would change that; "" for any other array."""
    layers = two_term_layers(model)
    if not layers:
        return ""
    names = [conv.name for conv in model.conv_nodes()]
    shown = ", ".join(layers[:_NAMED]) + (", ..." if len(layers) > _NAMED else "")
    which = f"all {len(names)} layers" if len(layers) == len(names) else shown
    if len(layers) not in (1, len(names)) and len(layers) > _NAMED:
        which = f"{len(layers)} of {len(names)} layers ({shown})"
    ends = {names[0], names[-1]}
    remedy = "quantise with --terms 1 --first-last same for one shifter a lane"
    if set(layers) <= ends and len(names) > len(ends):
        remedy = "quantise with --first-last same for one shifter a lane"
    return f"two shifters a lane because of the weights of {which}; {remedy}"
