"""A node control that does what a test tells it, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.broker.faults import KINDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from loadgen.broker.faults import FaultOrder, Step


async def _nothing(_: FaultOrder) -> None:
    pass


@dataclass
class FakeControl:
    """Implements `loadgen.broker.control.NodeControl`."""

    names: tuple[str, ...] = ("rabbit1", "rabbit2", "rabbit3")
    kinds: frozenset[str] = KINDS
    on_inject: Callable[[FaultOrder], Awaitable[None]] = _nothing
    """What an injection does; it may raise."""
    on_heal: Callable[[FaultOrder], Awaitable[None]] = _nothing
    acts: list[tuple[str, FaultOrder, int]] = field(default_factory=list)
    """(`inject`, `injected`, `heal` or `healed`, the order, monotonic ns)."""
    closed: bool = False
    proxies: dict[int, tuple[str, int]] = field(default_factory=dict)

    @property
    def done(self) -> list[str]:
        """The acts as words."""
        return [f"{what} {order.kind}" for what, order, _ in self.acts]

    def node_names(self) -> tuple[str, ...]:
        return self.names

    async def start_proxies(self, nodes: Collection[str]) -> dict[int, tuple[str, int]]:
        return {place: at for place, at in self.proxies.items() if self.names[place] in nodes}

    async def inject(self, order: FaultOrder, step: Step) -> None:
        await self._act("inject", order, self.on_inject, step, "struck")

    async def heal(self, order: FaultOrder, step: Step) -> None:
        await self._act("heal", order, self.on_heal, step, "serving")

    async def _act(
        self, what: str, order: FaultOrder, do: Callable[[FaultOrder], Awaitable[None]], step: Step, word: str
    ) -> None:
        self.acts.append((what, order, monotonic_ns()))
        for node in order.nodes:
            step(word, node, monotonic_ns())
        await do(order)
        self.acts.append(
            (f"{what.removesuffix('e')}ed" if what == "inject" else "healed", order, monotonic_ns())
        )

    async def leader(self) -> str:
        return self.names[0]

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed = True
