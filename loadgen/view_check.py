"""The broker's view of a run's clients: whom it should list, asked while the clients stay connected."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loadgen.broker.user_properties import compare_properties, listed_properties
from loadgen.broker.view import ExpectedCertificate, ExpectedConnection, ViewResult, check_view
from loadgen.errors import LoadgenError
from loadgen.identity.login import user_name
from loadgen.plan.logins import login_rule

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from loadgen.broker.cluster import LocalCluster
    from loadgen.broker.view import ConnectionSource
    from loadgen.identity.identity import Identity
    from loadgen.plan.plan import ClientPlan, Plan

_LIMIT = 30.0
"""Seconds until the last comparison counts; RabbitMQ lists a connection some 5 s late."""


def expected_connections(
    plan: Plan,
    groups: Collection[str],
    renewed: Mapping[int, ClientPlan] | None = None,
    *,
    dated: bool = True,
) -> list[ExpectedConnection]:
    """What the broker should list of the clients of `groups`, but who comes and goes or is refused.

    Args:
        plan: the plan.
        groups: which of its groups.
        renewed: number of the client → the client with the certificate it has now.
        dated: with `renewed`, whether serial numbers and dates are known to be those.
    """
    rule = login_rule(plan.scenario.target)
    of_plan = plan.scenario.groups
    steady = {name for name in groups if of_plan[name].lifetime is None and not of_plan[name].refused}
    return [
        ExpectedConnection(
            client_id=client.client_id,
            user=client.username or user_name(client.identity, rule),
            subject=client.identity.subject_rabbitmq,
            user_properties=client.user_properties,
            certificate=_certificate(client.identity) if renewed and dated else None,
        )
        for client in (renewed.values() if renewed else plan.clients)
        if client.group in steady
    ]


def _certificate(identity: Identity) -> ExpectedCertificate | None:
    if not identity.serial:
        return None  # it has none
    return ExpectedCertificate(int(identity.serial, 16), identity.not_before, identity.not_after)


async def _look(
    source: ConnectionSource, expected: list[ExpectedConnection], cluster: LocalCluster | None
) -> ViewResult:
    """Compare; and where names of user properties repeat, their order too, if there is a tool to ask."""
    result = await check_view(source, expected, deadline_s=_LIMIT)
    repeated = {
        each.client_id: each.user_properties
        for each in expected
        if len(dict(each.user_properties)) < len(each.user_properties)
    }
    if cluster is None or not repeated:
        return result
    listed = await asyncio.to_thread(listed_properties, cluster)
    return compare_properties(result, repeated, listed)


class ViewCheck:
    """A look at the broker that goes on beside the run; a new one takes the place of an older one."""

    def __init__(self, cluster: LocalCluster | None = None) -> None:
        """Nothing was looked at yet; a local `cluster` is asked for what the management API does not tell."""
        self._cluster = cluster
        self._task: asyncio.Task[ViewResult] | None = None

    def start(self, source: ConnectionSource, expected: list[ExpectedConnection]) -> None:
        """Ask `source`; an earlier look, with fewer clients, counts no more."""
        self.cancel()
        self._task = asyncio.create_task(_look(source, expected, self._cluster))

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
