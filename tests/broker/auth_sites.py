"""One node for each way to set a cluster up for certificates; the next comes up while one is used."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.broker.auth import Auth, AuthKind
from loadgen.broker.cluster import LocalCluster
from loadgen.broker.provision import provision_grants
from loadgen.grants import grants_of
from loadgen.identity.prepare import prepare_sets
from loadgen.run import RunOptions, prepare, read_scenario, run_scenario
from loadgen.scenario.load import load_scenario
from loadgen.target import management_of
from tests.conftest import free_ports, install_of
from tests.shipped import SCENARIOS, certificates_in

if TYPE_CHECKING:
    from pathlib import Path

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

        async def call() -> None:
            assert scenario.target.management
            async with management_of(scenario.target.management) as management:
                await provision_grants(management, grants)

        asyncio.run(call())
        return [grant.user for grant in grants]

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
        """Make all certificates first, so that the nodes get the CRL that lists the revoked one."""
        self._options = certificates_in(MATRIX, self.folder / "certs")[1::2]
        self._options.append(f"identities.other-ca.issue.out={self.folder / 'other-ca'}")
        scenario = load_scenario(SCENARIOS / MATRIX, overrides=self._options)
        self.identities = prepare_sets(scenario.identities)

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
        return Site(variant, cluster, self._options)

    def end(self, kind: AuthKind) -> None:
        """Take a site down."""
        LocalCluster(self.folder / kind / "cluster").down(purge=True, grace_s=0.0)

    def close(self) -> None:
        """Take down all that is left."""
        self._starter.shutdown(cancel_futures=True)
        for kind in self._coming:
            self.end(kind)
