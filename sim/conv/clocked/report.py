"""A clocked run's figures as JSON and as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shiftforge.sim.conv.clocked.losses import Loss, find_losses, layer_states
from shiftforge.sim.conv.clocked.planned import Planned
from shiftforge.sim.conv.clocked.run import ARRAY_KERNEL, stream_kernels
from shiftforge.sim.conv.clocked.steady import SteadyFrame
from shiftforge.sim.results import Table

__all__ = ["SCALES", "ClockedReport", "LayerFigures"]

SCALES = {"half": 0.5, "declared": 1.0, "double": 2.0}
"""The runs of a report: names of the latencies, and what the declared ones are multiplied by."""
_LOSSES = 3


@dataclass(frozen=True)
class LayerFigures:
    """A layer of a steady-state frame; cycles and the rest are summed over its strips."""

    name: str
    mode: str
    cycles: int
    modelled_cycles: int
    macs: int
    utilisation: float


@dataclass(frozen=True, eq=False)
class ClockedReport:
    """Three runs of one plan. half, declared, double: with so much of the plan's latencies."""

    plan: Planned
    half: SteadyFrame
    declared: SteadyFrame
    double: SteadyFrame

    def fps(self, found: SteadyFrame) -> float:
        """Frames a second at the board's clock."""
        return self.flight * self.plan.totals.clock_mhz * 1e6 / found.cycles

    @property
    def flight(self) -> int:
        """Images in flight: those of a steady-state frame."""
        return self.plan.totals.frames

    @property
    def _frame(self) -> str:
        return "frame" if self.flight == 1 else f"batch of {self.flight} frames"

    def utilisation(self, found: SteadyFrame) -> float:
        """Sum of MACs / (cycles x lanes)."""
        return self._share(sum(self.plan.macs), found.cycles)

    def _share(self, macs: int, cycles: int) -> float:
        return self.flight * macs / (cycles * self.plan.totals.lanes)

    @cached_property
    def layers(self) -> tuple[LayerFigures, ...]:
        """At the declared latencies, in order; several passes of one name are one layer."""
        passes = list(zip(self.plan.steps, self.declared.layers, strict=True))
        found = []
        for name in self.plan.names:
            own = [(layer, cycles) for layer, cycles in passes if layer.name == name]
            cycles = sum(n for _, n in own)
            macs = sum(layer.cycles.macs for layer, _ in own)
            modelled = sum(layer.cycles.modelled for layer, _ in own)
            share = self._share(macs, cycles)
            found.append(LayerFigures(name, own[0][0].mode, cycles, modelled, macs, share))
        return tuple(found)

    @cached_property
    def losses(self) -> tuple[Loss, ...]:
        """See ``find_losses``; at the declared latencies."""
        macs = [self.flight * own for own in self.plan.macs]
        return find_losses(self.declared, macs, self.plan.totals.lanes)

    @cached_property
    def strips(self) -> tuple[dict[str, Any], ...]:
        """Of each layer in order, the cycles of the array's kernel by state, see ``layer_states``;
        without zeros."""
        found: dict[str, dict[str, int]] = {name: {} for name in self.plan.names}
        for step, states in zip(self.plan.steps, layer_states(self.declared), strict=True):
            own = found[step.name]
            for state, cycles in states.items():
                own[state] = own.get(state, 0) + cycles
        return tuple(
            {"layer": name, "state": state, "cycles": cycles}
            for name, own in found.items()
            for state, cycles in own.items()
            if cycles
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``emulate --clocked --json`` has beside the comparison.

        All cycles, rates and shares are of one steady-state frame at the declared latencies, where
        the name says nothing else; with several in flight (``frames_in_flight``) a batch takes its
        place. latency_cycles, latency_ms: of the first one, which is alone, from its first beat to
        its last result. steady: whether two successive ones agreed in every layer, in each run.
        frames: that ran.
        """
        found, clock = self.declared, self.plan.totals.clock_mhz
        return {
            "cycles": found.cycles,
            "cycles_at_half_latency": self.half.cycles,
            "cycles_at_double_latency": self.double.cycles,
            "modelled_cycles": sum(layer.modelled_cycles for layer in self.layers),
            "latency_cycles": found.latency,
            "latency_ms": found.latency / (clock * 1e3),
            "frames_in_flight": self.flight,
            "clock_mhz": clock,
            "ddr_bytes_per_frame": found.run.traffic // self.flight,
            "fps": self.fps(found),
            "fps_at_half_latency": self.fps(self.half),
            "fps_at_double_latency": self.fps(self.double),
            "utilisation": self.utilisation(found),
            "utilisation_at_half_latency": self.utilisation(self.half),
            "utilisation_at_double_latency": self.utilisation(self.double),
            "steady": {name: getattr(self, name).steady for name in SCALES},
            "frames": self.flight * found.run.frames,
            "latencies": self.plan.latencies.to_dict(),
            "busy": found.busy,
            "stalls": found.stalls,
            "losses": [
                {"name": x.name, "cycles": x.cycles, "layer": self.plan.steps[x.layer].name}
                for x in self.losses
            ],
            "strips": list(self.strips),
            "channel_fill": {
                name: {"high_water": found.run.high_water[name], "depth": depth}
                for name, depth in found.run.depths.items()
            },
            "layers": [
                {
                    "name": layer.name,
                    "mode": layer.mode,
                    "cycles": layer.cycles,
                    "modelled_cycles": layer.modelled_cycles,
                    "utilisation": layer.utilisation,
                }
                for layer in self.layers
            ],
        }

    def tables(self) -> tuple[Table, ...]:
        """For people: rates, layers, kernels, channels, losses."""
        return (
            self._rates(), self._layers(), self._kernels(), self._fill(), self._losses()
        )  # fmt: skip

    def _rates(self) -> Table:
        clock = self.plan.totals.clock_mhz
        rows = []
        for name, scale in SCALES.items():
            found: SteadyFrame = getattr(self, name)
            own = self.plan.latencies.scaled(scale)
            rows.append(
                (
                    name,
                    f"{found.cycles:,}",
                    f"{self.fps(found):,.1f}",
                    f"{self.utilisation(found):.1%}",
                    f"{found.latency:,} ({found.latency / clock:,.0f} us)",
                    "yes" if found.steady else f"no, in {self.flight * found.run.frames} frames",
                    f"{own.conv} / {own.post} / {own.controller} / {own.global_load}",
                )
            )
        columns = (
            "latencies", f"cycles a {self._frame}", "fps", "utilisation", "latency of one frame",
            "steady", "conv / post / controller / load",
        )  # fmt: skip
        return Table(f"counted, at {clock:g} MHz (assumed clock)", columns, tuple(rows))

    def _layers(self) -> Table:
        stops = _most_stopped(self.declared)
        rows = [
            (
                layer.name,
                layer.mode,
                f"{layer.cycles:,}",
                f"{layer.modelled_cycles:,}",
                f"{layer.cycles / layer.modelled_cycles - 1:+.1%}",
                f"{layer.utilisation:.1%}",
                ", ".join(
                    stops[i] for i, p in enumerate(self.plan.steps)
                    if p.name == layer.name and stops[i]
                ),
            )
            for layer in self.layers
        ]  # fmt: skip
        columns = (
            "layer", "mode", "counted cycles", "modelled", "difference", "utilisation",
            "conv stopped most by",
        )  # fmt: skip
        return Table(f"layers of a steady-state {self._frame}", columns, tuple(rows))

    def _kernels(self) -> Table:
        found, rows = self.declared, []
        for kernel, busy in found.busy.items():
            stalled = sum(found.stalls[kernel].values())
            on = ", ".join(f"{name} {cycles:,}" for name, cycles in found.stalls[kernel].items())
            # Kernels without layers run through: they have no time between them.
            idle = "" if kernel in stream_kernels(True) else f"{found.cycles - busy - stalled:,}"
            rows.append(
                (kernel, f"{busy:,}", f"{busy / found.cycles:.1%}", f"{stalled:,}", idle, on)
            )
        columns = ("kernel", "busy cycles", "of the frame", "stopped", "between layers", "by")
        return Table(f"kernels of a steady-state {self._frame}", columns, tuple(rows))

    def _fill(self) -> Table:
        run = self.declared.run
        rows = [
            (name, f"{run.high_water[name]:,}", f"{depth:,}") for name, depth in run.depths.items()
        ]
        return Table("channels", ("channel", "high-water mark", "depth"), tuple(rows))

    def _losses(self) -> Table:
        found = self.declared
        rows = [
            (
                loss.name,
                f"{loss.cycles:,.0f}",
                f"{loss.cycles / found.cycles:.1%}",
                self.plan.steps[loss.layer].name,
            )
            for loss in self.losses[:_LOSSES]
        ]
        columns = ("largest losses", "cycles", "of the frame", "most in")
        return Table("", columns, tuple(rows))


def _most_stopped(found: SteadyFrame) -> Sequence[str]:
    """For each layer what stopped the array's kernel longest: "operand 120".

    Other kernels say nothing of a layer: they are stopped where they are ahead of the array."""
    most = [(0, "")] * len(found.layers)
    for span in found.spans:
        if span.kernel == ARRAY_KERNEL:
            for name, cycles in span.stalled.items():
                most[span.layer] = max(most[span.layer], (cycles, f"{name} {cycles:,}"))
    return [text for cycles, text in most]
