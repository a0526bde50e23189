"""The view while a run goes on: a panel that redraws on a terminal, else one plain line a second.

Everything goes to standard error, so that standard output stays for results.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadgen.report import figures
from loadgen.report.figures import clean

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class LiveState:
    """What is known about the last second of a run; latencies in seconds, None when there was no sample."""

    elapsed: float
    """Seconds since the start of the run."""
    stage: str
    clients: int
    """Clients of the plan."""
    connected: int
    stage_left: float | None = None
    """Seconds the stage still takes; None when it ends by an event."""
    published_rate: float = 0.0
    """Messages per second, as the two below."""
    acknowledged_rate: float = 0.0
    delivered_rate: float = 0.0
    publish_p50: float | None = None
    publish_p99: float | None = None
    delivery_p50: float | None = None
    delivery_p99: float | None = None
    send_lag_p99: float | None = None
    errors: dict[str, int] = field(default_factory=dict)
    """Since the start, by words (`CONNACK 0x86`); only those above zero are shown."""
    faults: tuple[str, ...] = ()
    """A line for each fault whose window is open."""
    workers: int = 1
    send_lag_limit: float = 0.1
    """Seconds; a send lag above it is shown as a warning."""


class LiveView:
    """Shows `LiveState` after `LiveState`; a context manager, so that the terminal is always given back."""

    def __init__(self, *, title: str = "", console: Console | None = None, plain: bool | None = None) -> None:
        """Choose the form of the view.

        Args:
            title: The scenario's name.
            console: Where to write; standard error by default. rich honours NO_COLOR by itself.
            plain: True for lines, False for the panel; None chooses the panel on a terminal.
        """
        self._console = console or Console(file=sys.stderr)
        self._title = title
        self._plain = not self._console.is_terminal if plain is None else plain
        self._live: Live | None = None
        self._lines = 0

    def __enter__(self) -> Self:
        """Start to draw."""
        if not self._plain:
            # Redrawn on update only: a refresh thread would take time from the event loop beside it.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to draw; the panel is wiped, lines stay."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, state: LiveState) -> None:
        """Show a new state; meant to be called once a second."""
        if self._live is not None:
            self._live.update(self._panel(state), refresh=True)
        elif self._plain:
            self._console.print(plain_line(state), markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Write a line that stays, such as a warning or a fault, above the panel."""
        self._console.print(clean(text), markup=False, highlight=False, soft_wrap=True)

    def _panel(self, state: LiveState) -> Group:
        head = Text.assemble(
            (clean(self._title), "bold"),
            f"  {figures.clock(state.elapsed)}  ",
            (clean(state.stage), "bold cyan"),
            (f"  {figures.clock(state.stage_left)} left" if state.stage_left is not None else "", "dim"),
        )
        grid = Table.grid(padding=(0, 3))
        for _ in range(4):
            grid.add_column(justify="right")
        grid.add_row("", Text("per second", "dim"), Text("p50", "dim"), Text("p99", "dim"))
        grid.add_row("published", figures.three_digits(state.published_rate), "", "")
        publish = figures.seconds(state.publish_p50), figures.seconds(state.publish_p99)
        grid.add_row("acknowledged", figures.three_digits(state.acknowledged_rate), *publish)
        delivery = figures.seconds(state.delivery_p50), figures.seconds(state.delivery_p99)
        grid.add_row("delivered", figures.three_digits(state.delivered_rate), *delivery)
        lagging = state.send_lag_p99 is not None and state.send_lag_p99 > state.send_lag_limit
        foot = Text.assemble(
            f"{figures.count(state.connected)} of {figures.count(state.clients)} clients connected",
            ("  ·  send lag p99 ", "dim"),
            (figures.seconds(state.send_lag_p99), "bold yellow" if lagging else ""),
            (f"  ·  {state.workers} workers" if state.workers != 1 else "", "dim"),
        )
        errors = _errors(state)
        faults = [Text(f"fault {clean(fault)}", "bold yellow") for fault in state.faults]
        return Group(head, grid, foot, *faults, *([Text(errors, "yellow")] if errors else []))


def plain_line(state: LiveState) -> str:
    """Give one state as one line, elapsed time first, in the form that PerfTest users know."""
    parts = [
        f"{figures.clock(state.elapsed):>7}",
        f"{clean(state.stage)}",
        f"connected={state.connected}/{state.clients}",
        f"published={figures.rate(state.published_rate)}",
        f"acknowledged={figures.rate(state.acknowledged_rate)}",
        f"delivered={figures.rate(state.delivered_rate)}",
    ]
    for name, median, tail in (
        ("publish", state.publish_p50, state.publish_p99),
        ("delivery", state.delivery_p50, state.delivery_p99),
    ):
        if median is not None or tail is not None:
            parts.append(f"{name} p50/p99={figures.seconds(median)}/{figures.seconds(tail)}")
    if state.send_lag_p99 is not None:
        mark = " !" if state.send_lag_p99 > state.send_lag_limit else ""
        parts.append(f"send_lag p99={figures.seconds(state.send_lag_p99)}{mark}")
    parts += [f"[fault {clean(fault)}]" for fault in state.faults]
    errors = _errors(state)
    return "  ".join([*parts, *([errors] if errors else [])])


def _errors(state: LiveState) -> str:
    shown = [f"{clean(name)} \N{MULTIPLICATION SIGN}{count}" for name, count in state.errors.items() if count]
    return f"errors: {', '.join(shown)}" if shown else ""
