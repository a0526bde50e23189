"""The broker's view of a run's clients: whom it should list, asked while the clients stay connected."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loadgen.broker.view import ExpectedConnection, ViewResult, check_view
from loadgen.errors import LoadgenError
from loadgen.identity.login import user_name
from loadgen.plan.logins import login_rule

if TYPE_CHECKING:
    from collections.abc import Collection

    from loadgen.broker.view import ConnectionSource
    from loadgen.plan.plan import Plan

_LIMIT = 30.0
"""Seconds until the last comparison counts; RabbitMQ lists a connection some 5 s late."""


def expected_connections(plan: Plan, groups: Collection[str]) -> list[ExpectedConnection]:
    """What the broker should list of the clients of `groups`, but who comes and goes or is refused."""
    rule = login_rule(plan.scenario.target)
    of_plan = plan.scenario.groups
    steady = {name for name in groups if of_plan[name].lifetime is None and not of_plan[name].refused}
    return [
        ExpectedConnection(
            client_id=client.client_id,
            user=client.username or user_name(client.identity, rule),
            subject=client.identity.subject_rabbitmq,
            user_properties=client.user_properties,
        )
        for client in plan.clients
        if client.group in steady
    ]


class ViewCheck:
    """A look at the broker that goes on beside the run; a new one takes the place of an older one."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self._task: asyncio.Task[ViewResult] | None = None

    def start(self, source: ConnectionSource, expected: list[ExpectedConnection]) -> None:
        """Ask `source`; an earlier look, with fewer clients, counts no more."""
        self.cancel()
        self._task = asyncio.create_task(check_view(source, expected, deadline_s=_LIMIT))

    def cancel(self) -> None:
        """Look no longer."""
        if self._task is not None:
            self._task.cancel()

    @property
    def pending(self) -> bool:
        """Whether a look is going on."""
        return self._task is not None and not self._task.done()

    async def outcome(self) -> tuple[ViewResult | None, str]:
        """(what was found, why nothing could be found); (None, "") when nobody looked to the end."""
        if self._task is None:
            return None, ""
        try:
            return await self._task, ""
        except asyncio.CancelledError:
            return None, ""
        except LoadgenError as error:
            return None, str(error)
