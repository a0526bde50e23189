"""Ctrl-C and SIGTERM: the first asks a run to end, the second not to wait for anything."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether the run was interrupted, and how often."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` is called at each interruption, so that whoever waits looks up."""
        self._wake = wake
        self.requested = False
        """The run is to end and keep what there is."""
        self.impatient = False
        """It was asked twice: nothing is to be waited for."""

    def request(self) -> None:
        """Interrupt, as a signal does."""
        self.impatient = self.requested
        self.requested = True
        self._wake()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Within the block the signals interrupt; after it they do what they did before."""
        loop = asyncio.get_running_loop()
        before = {each: signal.getsignal(each) for each in _SIGNALS}
        # Not every platform and thread can have signal handlers; without them Ctrl-C ends the process.
        for each in _SIGNALS:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(each, self.request)
        try:
            yield
        finally:
            for each in _SIGNALS:
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                    loop.remove_signal_handler(each)
                    signal.signal(each, before[each])
