"""The panel of the live view: a stage bar, rates and latencies, the generator's health, faults, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadgen.live.lines import errors_in_words
from loadgen.report import figures
from loadgen.report.figures import clean

if TYPE_CHECKING:
    from rich.console import RenderableType

    from loadgen.live.state import Latency, LiveState

_NARROW = 64
"""Columns of a terminal below which only p99 is shown of the latencies."""
_SEPARATOR = "  \N{MIDDLE DOT}  "


def panel(title: str, state: LiveState, width: int) -> Group:
    """Draw one state.

    Args:
        title: The scenario's name.
        state: What to draw.
        width: Columns of the terminal.
    """
    rows: list[RenderableType] = [_head(title, state), _bar(state, width), _figures(state, width)]
    rows += [_clients(state), _health(state)]
    rows += [Text(f"fault {clean(fault)}", "bold yellow") for fault in state.faults]
    if errors := errors_in_words(state.errors):
        rows.append(Text(errors, "yellow"))
    return Group(*rows)


def _head(title: str, state: LiveState) -> Text:
    head = Text.assemble((clean(title), "bold"), f"  {figures.clock(state.elapsed)}")
    if state.run_left is not None:
        head.append(f"  about {figures.clock(state.run_left)} left in all", "dim")
    return head


def _bar(state: LiveState, width: int) -> RenderableType:
    """The stage with its bar; the stages before and after it where there is room."""
    name = clean(state.stage)
    left = f"{figures.clock(state.stage_left)} left" if state.stage_left is not None else ""
    if state.stage_left is None and state.stage_kind == "connect":
        left = f"{figures.count(state.connected)} of {figures.count(state.clients)}"
    grid = Table.grid(padding=(0, 1), expand=False)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column()
    grid.add_column(no_wrap=True)
    room = max(width - len(name) - len(left) - 4, 4)
    bar = ProgressBar(total=1.0, completed=state.progress, width=min(room, 40))
    grid.add_row(Text(name, "bold cyan"), bar, Text(left, "dim"))
    names = [clean(each) for each in state.stages]
    around = len("  ".join(names)) + 4
    if name not in names or len(names) == 1 or around > width:
        return grid
    at = names.index(name)
    line = Text("  ").join(
        Text(each, "dim strike" if place < at else "bold cyan" if place == at else "dim")
        for place, each in enumerate(names)
    )
    return Group(line, grid)


def _figures(state: LiveState, width: int) -> Table:
    names = ("p50", "p95", "p99", "max") if width >= _NARROW else ("p99",)
    grid = Table.grid(padding=(0, 3 if width >= _NARROW else 1))
    for _ in range(2 + len(names)):
        grid.add_column(justify="right", no_wrap=True)
    grid.add_row("", *(Text(words, "dim") for words in ("per second", *names)))
    grid.add_row("published", figures.three_digits(state.published_rate))
    for words, rate, spread in (
        ("acknowledged", state.acknowledged_rate, state.publish),
        ("delivered", state.delivered_rate, state.delivery),
    ):
        cells = [figures.seconds(getattr(spread, name, None)) for name in names]
        grid.add_row(words, figures.three_digits(rate), *cells)
    return grid


def _clients(state: LiveState) -> Text:
    words = [f"{figures.count(state.connected)} of {figures.count(state.clients)} clients connected"]
    if state.inflight:
        words.append(f"{figures.count(state.inflight)} in flight")
    if state.backlog:
        words.append(f"{figures.count(state.backlog)} held back")
    health = state.health
    if health.rss:
        several = f" in {health.workers} workers" if health.workers > 1 else ""
        words.append(f"{figures.size(health.rss)}{several}")
    return Text(_SEPARATOR.join(words))


def _health(state: LiveState) -> Text:
    health = state.health
    troubles = health.troubles
    line = Text()
    for name, words, spread, limit in (
        ("send_lag", "send lag", health.send_lag, health.send_lag_limit),
        ("loop_lag", "loop lag", health.loop_lag, health.loop_lag_limit),
    ):
        line.append(f"{_SEPARATOR if line else ''}{words} p99 ", "dim")
        line.append(_p99(spread), "bold yellow" if name in troubles else "")
        line.append(f" of {figures.seconds(limit)}", "dim")
    if health.cpu is not None:
        line.append(f"{_SEPARATOR}CPU ", "dim")
        line.append(figures.percent(100 * health.cpu), "bold yellow" if "cpu" in troubles else "")
        line.append(" of a core", "dim")
    if health.dropped:
        line.append(_SEPARATOR, "dim")
        line.append(f"{figures.count(health.dropped)} dropped", "bold yellow")
    return line


def _p99(spread: Latency | None) -> str:
    return figures.seconds(None if spread is None else spread.p99)
