"""The target made ready: the embedded broker started when the scenario asks for it, else the nodes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.broker.embedded import EmbeddedBroker
from loadgen.broker.management import Management, ManagementError
from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority
from loadgen.scenario.model import Scenario, Uri

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from loadgen.broker.view import ConnectionSource
    from loadgen.scenario.target import Management as ManagementSettings


@dataclass(slots=True)
class OpenTarget:
    """A target that can be connected to."""

    scenario: Scenario
    """The scenario with the target's real addresses and CA filled in."""
    kind: str
    version: str | None = None
    view: ConnectionSource | None = None
    """Whom to ask for the broker's view of its clients."""
    management: Management | None = None
    """The management API, when the scenario names one."""
    nodes: tuple[str, ...] = ()
    embedded: EmbeddedBroker | None = None
    """The embedded broker, when it is the target."""


def management_of(settings: ManagementSettings) -> Management:
    """The management API that a target names.

    Raises:
        ConfigError: its password cannot be read.
        ManagementError: its CA file cannot be used.
    """
    ca = Path(settings.ca) if settings.ca else None
    return Management(settings.uris, settings.username, settings.password.reveal(), ca)


@contextlib.asynccontextmanager
async def open_target(scenario: Scenario) -> AsyncIterator[OpenTarget]:
    """Start or look up the target; what was started ends with the block.

    Raises:
        ConfigError: no CA to run the embedded broker with, or a management password that cannot be read.
        BrokerError: the embedded broker does not start, or the management API cannot be used.
    """
    if scenario.target.kind == "embedded":
        with _embedded(scenario) as target:
            yield target
        return
    settings = scenario.target.management
    nodes = tuple(str(uri) for uri in scenario.target.uris)
    if settings is None:
        yield OpenTarget(scenario, scenario.target.kind, nodes=nodes)
        return
    async with management_of(settings) as management:
        overview = await management.overview()
        version = overview.get("rabbitmq_version") or overview.get("product_version")
        yield OpenTarget(
            scenario,
            scenario.target.kind,
            str(version) if version else None,
            view=management,
            management=management,
            nodes=nodes,
        )


@contextlib.contextmanager
def _embedded(scenario: Scenario) -> Iterator[OpenTarget]:
    folders = {Path(each.issue.out) for each in scenario.identities.values() if each.issue is not None}
    if len(folders) != 1:
        raise ConfigError(
            "the embedded broker needs one CA that signs the identities, and the scenario has "
            f"{len(folders) or 'none'}",
            "give every identity set the same issue.out",
        )
    authority = Authority.ensure(folders.pop())
    certificate, key = authority.issue_server("localhost", dns=["localhost"], ip=["127.0.0.1"])
    with EmbeddedBroker(certificate, key, authority.certificate) as broker:
        target = scenario.target.model_copy(
            update={
                "uris": (Uri(broker.host, broker.port),),
                "tls": scenario.target.tls.model_copy(
                    update={"ca": str(authority.certificate), "insecure": False, "server_name": None}
                ),
            }
        )
        resolved = scenario.model_copy(update={"target": target})
        yield OpenTarget(
            resolved, "embedded", broker.version, view=broker, nodes=(broker.uri,), embedded=broker
        )


__all__ = ["ManagementError", "OpenTarget", "open_target"]
