"""Takes samples of the brokers beside the run."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import TYPE_CHECKING

from loadgen.broker.management import ManagementError
from loadgen.broker.sampling import ClusterSamples, EmbeddedSamples
from loadgen.certificates.rotation import local_cluster
from loadgen.target import management_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from loadgen.broker.sampling import Sample, SampleSource
    from loadgen.target import OpenTarget

EMBEDDED_EVERY_S = 5.0
"""How often the embedded broker is looked at."""


@contextlib.asynccontextmanager
async def sampling(target: OpenTarget, take: Callable[[Sample], None]) -> AsyncIterator[None]:
    """Give `take` samples of the brokers while the block runs, if they tell and the scenario wants it."""
    async with contextlib.AsyncExitStack() as opened:
        found = await _source(target, opened)
        if found is not None:
            task = asyncio.create_task(_sample(*found, take))
            opened.push_async_callback(_end, task)
        yield


async def _source(target: OpenTarget, opened: contextlib.AsyncExitStack) -> tuple[SampleSource, float] | None:
    """Whom to ask, and how often, s; None when there is nobody."""
    if target.embedded is not None:
        return EmbeddedSamples(target.embedded), EMBEDDED_EVERY_S
    settings = target.scenario.target.management
    if settings is None or not settings.sample_every:
        return None
    cluster = local_cluster(target.scenario.target)
    try:
        # One of its own: which node is asked first is no business of the broker's view or the faults.
        management = await opened.enter_async_context(management_of(settings))
    except ManagementError:
        return None  # `open_target` has said it
    local = cluster.directory if cluster is not None else None
    return ClusterSamples(management, local), settings.sample_every / 1e9


async def _sample(source: SampleSource, every_s: float, take: Callable[[Sample], None]) -> None:
    """Take a sample now and every so often; one that comes late is not made up for."""
    due = monotonic()
    while True:
        take(await source.sample())
        due = max(due + every_s, monotonic())
        await asyncio.sleep(due - monotonic())


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
