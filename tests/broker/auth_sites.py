"""One node for each way to set a cluster up for certificates; the next comes up while one is used."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.broker.auth import Auth, AuthKind
from loadgen.broker.cluster import LocalCluster
from loadgen.broker.provision import provision_grants
from loadgen.grants import grants_of
from loadgen.identity.directory import read_directory
from loadgen.identity.prepare import prepare_sets
from loadgen.run import RunOptions, prepare, read_scenario, run_scenario
from loadgen.scenario.load import load_scenario
from loadgen.target import management_of
from tests.broker.raw_client import Entrance, RawClient
from tests.conftest import free_ports, install_of
from tests.shipped import ROOT, SCENARIOS, certificates_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from loadgen.broker.management import Management
    from loadgen.identity.identity import Identity

README = ROOT / "certs" / "README.md"
MATRIX = "auth-matrix.yaml"
QUICK = ("stages.publish.hold=500ms", "generator.send_lag=5s", "generator.loop_lag=5s")
NO_SAN = (
    "groups.missing-san.expect={connack: 0x86}",
    "groups.anonymous.identity=no-names",
    "groups.anonymous.expect={connack: 0x86}",
)
"""Where the user name is an alternative name, a certificate without one is nobody's."""


@dataclass(frozen=True)
class Variant:
    """A way, what its clients are called, and the rows that differ."""

    kind: AuthKind
    device: str
    """The user of the certificate `auth-device`, and the client id that it must have."""
    release: str = "4.3"
    changes: tuple[str, ...] = ()

    @property
    def auth(self) -> Auth:
        return Auth(self.kind, verify_client_id=True, check_crl=True)


@dataclass
class Site:
    """A node, and the matrix for it."""

    variant: Variant
    cluster: LocalCluster
    options: list[str]

    def run_options(self, *changes: str) -> RunOptions:
        runs = self.cluster.directory.parent / "runs"
        overrides = [*self.options, *QUICK, *self.variant.changes, *changes]
        return RunOptions(SCENARIOS / MATRIX, overrides, str(self.cluster.target_file), 1, runs)

    def provision(self) -> list[str]:
        """Make the users that the matrix asks for; gives their names."""
        scenario = read_scenario(self.run_options())
        grants = grants_of(scenario)

        async def call(management: Management) -> None:
            await provision_grants(management, grants)

        self.manage(call)
        return [grant.user for grant in grants]

    def manage(self, call: Callable[[Management], Awaitable[None]]) -> None:
        """Do something through the management API."""
        settings = read_scenario(self.run_options()).target.management
        assert settings

        async def within() -> None:
            async with management_of(settings) as management:
                await call(management)

        asyncio.run(within())

    def code(self, who: Identity, client_id: str) -> int | None:
        """Connect, and give the reason code of CONNACK."""
        node = self.cluster.status()[0]
        entrance = Entrance(node.address, node.mqtt_port, self.cluster.ca)
        with RawClient.connect(entrance, who, client_id) as client:
            return client.code

    def run(self, *changes: str) -> dict[str, Any]:
        """Run the matrix; gives result.json."""
        options = self.run_options(*changes)
        scenario = read_scenario(options)
        outcome = asyncio.run(run_scenario(options, scenario, prepare(options, scenario)))
        found: dict[str, Any] = json.loads((outcome.path / "result.json").read_text(encoding="utf-8"))
        return found


@dataclass
class Sites:
    """Brings nodes up one after the other, a step ahead of those who ask for them."""

    folder: Path
    _starter: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _coming: dict[AuthKind, Future[Site]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make all certificates first, so that the nodes get the CRL that lists the revoked one.

        The CA is that of the three steps by hand of certs/README.md, which make a client besides.
        """
        (self.folder / "certs").mkdir()
        (by_hand,) = re.findall(r"```sh\n(# 1. .*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
        subprocess.run(["sh", "-ec", by_hand], cwd=self.folder / "certs", check=True, capture_output=True)
        self._options = certificates_in(MATRIX, self.folder / "certs")[1::2]
        self._options.append(f"identities.other-ca.issue.out={self.folder / 'other-ca'}")
        scenario = load_scenario(SCENARIOS / MATRIX, overrides=self._options)
        self.identities = prepare_sets(scenario.identities)
        (self.by_hand,) = read_directory(self.folder / "certs", ["APM00000"])

    def take(self, variant: Variant, following: Variant | None) -> Site:
        """The site of a variant; meanwhile the following one is brought up."""
        self._ask(variant)
        if following is not None:
            self._ask(following)
        return self._coming[variant.kind].result()

    def _ask(self, variant: Variant) -> None:
        if variant.kind not in self._coming:
            step = 20 + len(self._coming)
            self._coming[variant.kind] = self._starter.submit(self._bring_up, variant, step)

    def _bring_up(self, variant: Variant, step: int) -> Site:
        mqtt_port, management_port = free_ports(step)
        cluster = LocalCluster(self.folder / variant.kind / "cluster")
        cluster.up(
            1,
            certs=self.folder / "certs",
            install=install_of(variant.release),
            mqtt_port=mqtt_port,
            management_port=management_port,
            auth=variant.auth,
        )
        return Site(variant, cluster, list(self._options))

    def end(self, kind: AuthKind) -> None:
        """Take a site down."""
        LocalCluster(self.folder / kind / "cluster").down(purge=True, grace_s=0.0)

    def close(self) -> None:
        """Take down all that is left."""
        self._starter.shutdown(cancel_futures=True)
        for kind in self._coming:
            self.end(kind)
