"""A real cluster under node control, with clients that tell what they saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack
from urllib.parse import urlsplit

from loadgen.broker.control import open_control
from loadgen.broker.management import Management
from loadgen.identity.authority import Authority, ClientRequest
from tests.broker.raw_client import Asked, Entrance, RawClient
from tests.broker.witness import add_user

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from loadgen.broker.cluster import LocalCluster
    from loadgen.broker.faults import Address, NodeControl
    from loadgen.identity.identity import Identity


@dataclass(frozen=True)
class Where:
    """As `scenario.uri.Uri`."""

    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def of(cls, uri: str) -> Where:
        place = urlsplit(uri)
        assert place.hostname
        assert place.port
        return cls(place.hostname, place.port)


@dataclass(frozen=True)
class Kubernetes:
    namespace: str = "mq"
    context: str | None = None
    pods: tuple[str, ...] = ()
    container: str | None = None


@dataclass(frozen=True)
class Settings:
    """As `target.control`."""

    local: str | None = None
    compose: str | None = None
    project: str | None = None
    services: tuple[str, ...] = ()
    kubernetes: Kubernetes | None = None


@dataclass(frozen=True)
class TargetLike:
    """As `target`."""

    uris: Sequence[Address] = ()
    control: Settings | None = None
    management: object | None = None
    kind: str = "rabbitmq"


@dataclass(frozen=True)
class Planned:
    """As `plan.faults.FaultPlan`."""

    kind: str
    targets: tuple[str, ...] = ()
    name: str = "fault"


@dataclass
class Steps:
    """What node control told."""

    told: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, what: str, node: str, at: int) -> None:
        self.told.append((what, node, at))

    @property
    def words(self) -> list[tuple[str, str]]:
        return [(what, node) for what, node, _ in self.told]

    def at(self, what: str, node: str) -> int:
        (found,) = [at for said, of, at in self.told if (said, of) == (what, node)]
        return found


class Rig:
    """A local cluster with two users, and its management API."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.password = cluster.password_file.read_text().strip()
        requests = [ClientRequest("fault-one"), ClientRequest("fault-two")]
        self.one, self.two = Authority.ensure(cluster.certs).issue_clients(requests)
        for who in (self.one, self.two):
            add_user(cluster.management_uris[0], self.password, who.cn)
        self.uris = tuple(Where.of(uri) for uri in cluster.uris)
        self.target = TargetLike(self.uris, Settings(local=str(cluster.directory)), management=object())
        self.management = Management(cluster.management_uris, "loadgen", self.password)

    async def control(self, client_ids: Collection[str] | None = None) -> NodeControl:
        return await open_control(self.target, self.management, client_ids=client_ids)

    def connect(
        self, client_id: str, node: int, who: Identity | None = None, **asked: Unpack[Asked]
    ) -> RawClient:
        where = self.uris[node]
        entrance = Entrance(where.host, where.port, self.cluster.ca)
        return RawClient.connect(entrance, who or self.one, client_id, **asked)
