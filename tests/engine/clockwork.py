"""A loop and a clock in the test's hand, for what only asks to be called later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Handle:
    def __init__(self, due: int, call: Callable[[], None]) -> None:
        self.due, self.call, self.cancelled = due, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Clockwork:
    """`now` is in ns; `advance` runs what falls due, in order. Every look at the clock costs `tick` ns."""

    def __init__(self, tick: int = 0) -> None:
        self.now = 1_000_000_000
        self.tick = tick
        self.handles: list[Handle] = []

    def monotonic_ns(self) -> int:
        self.now += self.tick
        return self.now

    def call_later(self, delay: float, call: Callable[..., None], *arguments: Any) -> Handle:  # noqa: ANN401
        handle = Handle(self.now + round(delay * 1e9), lambda: call(*arguments))
        self.handles.append(handle)
        return handle

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> Handle:  # noqa: ANN401
        return self.call_later(0, call, *arguments)

    def advance(self, nanoseconds: int) -> None:
        end = self.now + nanoseconds
        while True:
            live = [each for each in self.handles if not each.cancelled]
            first = min(live, key=lambda each: each.due, default=None)
            if first is None or first.due > end:
                self.handles = live
                self.now = max(self.now, end)
                return
            live.remove(first)
            self.handles = live
            self.now = max(self.now, first.due)
            first.call()
