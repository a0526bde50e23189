"""Marks stages, faults and other events on charts over time, from sources that all charts share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report.plots import Kit, as_names, columns, names_above, shade, upright

if TYPE_CHECKING:
    from loadgen.report.moments import Moments


class Marking:
    """Shades every other stage and each fault's window, and draws a line where something happened."""

    def __init__(self, moments: Moments, kit: Kit) -> None:
        """Prepare the sources."""
        self._moments, self._kit = moments, kit
        banded = moments.stages[1::2]
        self._stages = columns(start=[start for _, start, _ in banded], end=[end for _, _, end in banded])
        self._windows = columns(
            start=[start for _, start, _ in moments.windows], end=[end for _, _, end in moments.windows]
        )
        self._healed = columns(at=moments.healed)
        self._recovered = columns(at=moments.recovered)
        self._stage_names = as_names(((start + end) / 2, name) for name, start, end in moments.stages)
        self._event_names = as_names(moments.names())
        self._steps = columns(at=[at for _, at in moments.steps])

    def put(self, plot: Any, *, names: bool = True) -> None:  # noqa: ANN401 - bokeh's types
        """Mark a plot over time.

        Args:
            plot: The plot.
            names: Whether stages are shaded, and names of stages and faults written above it.
        """
        if names and self._moments.stages[1:]:
            shade(plot, self._kit, self._stages, "band", 0.1)
        if self._moments.windows:
            shade(plot, self._kit, self._windows, "fault", 0.09)
            upright(plot, self._kit, self._windows, "start", "fault", "solid")
        for source, times, colour, dash in (
            (self._healed, self._moments.healed, "good", "dashed"),
            (self._recovered, self._moments.recovered, "good", "dotted"),
            (self._steps, self._moments.steps, "grey", "dotdash"),
        ):
            if times:
                upright(plot, self._kit, source, "at", colour, dash)
        if names and self._stage_names:
            names_above(plot, self._kit, self._stage_names)
        if names and self._event_names:
            names_above(plot, self._kit, self._event_names)
