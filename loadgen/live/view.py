"""The view while a run goes on: a panel that redraws on a terminal, a plain line or a JSON object a second.

Everything goes to standard error, so that standard output stays for results.
"""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live

from loadgen.live.lines import event, json_line, plain_line
from loadgen.live.panel import panel
from loadgen.report.figures import clean

if TYPE_CHECKING:
    from types import TracebackType

    from loadgen.live.state import LiveState


class Form(enum.StrEnum):
    """How the view looks."""

    AUTO = "auto"
    """The panel on a terminal, plain lines elsewhere."""
    PANEL = "panel"
    PLAIN = "plain"
    JSON = "json"
    QUIET = "quiet"


class LiveView:
    """Shows `LiveState` after `LiveState`; a context manager, so that the terminal is always given back."""

    def __init__(self, *, title: str = "", console: Console | None = None, form: Form = Form.AUTO) -> None:
        """Choose the form of the view.

        Args:
            title: The scenario's name.
            console: Where to write; standard error by default. rich honours NO_COLOR by itself.
            form: How it looks.
        """
        self._console = console or Console(file=sys.stderr)
        self._title = title
        if form is Form.AUTO:
            form = Form.PANEL if self._console.is_terminal else Form.PLAIN
        self._form = form
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Start to draw."""
        if self._form is Form.PANEL:
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

    @property
    def is_json(self) -> bool:
        """Whether a program reads it, which other lines would confuse."""
        return self._form is Form.JSON

    def update(self, state: LiveState) -> None:
        """Show a new state; meant to be called once a second."""
        if self._live is not None:
            self._live.update(panel(self._title, state, self._console.width), refresh=True)
        elif self._form is Form.PLAIN:
            self._line(plain_line(state))
        elif self._form is Form.JSON:
            self._line(json_line(state))

    def note(self, text: str) -> None:
        """Write a line that stays, such as a stage or a fault, above the panel."""
        if self._form is Form.JSON:
            self._line(event("note", text=text))
        elif self._form is not Form.QUIET:
            self._line(clean(text))

    def warn(self, text: str) -> None:
        """Write a warning, whatever the form."""
        if self._form is Form.JSON:
            self._line(event("warning", text=text))
        else:
            self._line(f"warning: {clean(text)}")

    def end(self, *, verdict: str, exit_code: int, path: str) -> None:
        """Say how the run went, as the last object of the JSON view; other forms leave it to the summary."""
        if self._form is Form.JSON:
            self._line(event("end", verdict=verdict, exit_code=exit_code, path=path))

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
