"""The table: a row for each figure, a column for each contender; least, median, and ratio to loadgen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Spread

FIRST = "loadgen"
NOT_MEASURED = "n/a"
_TIMES = "\N{MULTIPLICATION SIGN}"
ROWS = {
    "rss_one": ("RSS with one client, MB", 1e-6, 1),
    "rss_client": ("RSS per idle client, KB", 1e-3, 1),
    "cpu_fixed": ("CPU of a run with one client, s", 1.0, 2),
    "cpu_connect": ("CPU per connect, ms", 1e3, 2),
    "connect_rate": ("achieved connect rate, connects/s", 1.0, 1),
    "cpu_idle": ("CPU per idle client, µs a second", 1e6, 1),
    "cpu_message": ("CPU per message, µs", 1e6, 1),
    "rate": ("achieved rate, messages/s", 1.0, 0),
    "send_lag_p50": ("send lag p50, ms", 1e3, 2),
    "send_lag_p99": ("send lag p99, ms", 1e3, 2),
}
"""Figure → (label with unit, factor from SI, decimals)."""

_RATES = {"rate", "connect_rate"}
"""What a contender was told to do: no cost, and no ratio."""


def rows(measured: Mapping[str, Mapping[str, Spread | None]]) -> list[list[str]]:
    """The cells of one broker's table, header first; `measured` is contender → figure → spread."""
    table = [["", *measured]]
    for figure, (label, factor, decimals) in ROWS.items():
        base = measured[FIRST][figure]
        cells = []
        for contender, figures in measured.items():
            found = figures[figure]
            if found is None:
                cells.append(NOT_MEASURED)
                continue
            cell = f"{found.least * factor:,.{decimals}f} / {found.middle * factor:,.{decimals}f}"
            if contender != FIRST and base is not None and base.middle > 0 and figure not in _RATES:
                cell += f" ({_ratio(found.middle / base.middle)})"
            cells.append(cell)
        table.append([label, *cells])
    return table


def _ratio(value: float) -> str:
    return f"{value:,.0f}{_TIMES}" if value >= 20 else f"{value:.1f}{_TIMES}"


def render(table: Sequence[Sequence[str]]) -> str:
    """Write cells as a Markdown table with aligned columns."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2)] + ["-" * (width + 1) + ":" for width in widths[1:]]) + "|"
    return "\n".join([line(table[0]), rule, *(line(row) for row in table[1:])])
