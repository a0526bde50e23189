"""The cluster of docker-compose.yml as tests see it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadgen.identity.authority import Authority, ClientRequest
from tests.broker.witness import add_user, call

if TYPE_CHECKING:
    from loadgen.identity.identity import Identity
    from tests.broker.docker_engine import Engine

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
ADDRESS = "127.0.0.11"  # so that a cluster on the usual ports of 127.0.0.1 is in nobody's way
PASSWORD = "for-this-test-only"


@dataclass
class Composed:
    engine: Engine
    image: str
    certs: Path
    uris: tuple[str, ...] = tuple(f"mqtts://{ADDRESS}:{port}" for port in (8883, 8884, 8885))
    management: tuple[str, ...] = tuple(f"http://{ADDRESS}:{port}" for port in (15672, 15673, 15674))

    @property
    def ca(self) -> Path:
        return self.certs / "ca_certificate.pem"

    def compose(self, *arguments: str) -> str:
        variables = {
            "RABBITMQ_IMAGE": self.image,
            "RABBITMQ_PASSWORD": PASSWORD,
            "LOADGEN_CERTS": str(self.certs),
            "LOADGEN_BIND": ADDRESS,
        }
        return self.engine.compose(COMPOSE, variables, *arguments)

    def identity(self, name: str) -> Identity:
        (issued,) = Authority.ensure(self.certs).issue_clients([ClientRequest(name)])
        add_user(self.management[0], PASSWORD, name)
        return issued

    def members(self, node: int = 0) -> set[str]:
        """Names of the nodes that a node sees running; empty while it does not answer."""
        try:
            rows: list[dict[str, Any]] = call(
                self.management[node], PASSWORD, "/api/nodes?columns=name,running"
            )
        except OSError:
            return set()
        return {str(row["name"]) for row in rows if row["running"]}

    def write_target(self, file: Path) -> Path:
        """Write a file for `loadgen run --target`."""
        password = file.with_suffix(".password")
        password.write_text(PASSWORD)
        password.chmod(0o600)
        management = {"uris": self.management, "username": "loadgen", "password": {"file": str(password)}}
        target = {
            "kind": "rabbitmq",
            "uris": self.uris,
            "tls": {"ca": str(self.ca)},
            "management": management,
        }
        file.write_text(json.dumps(target))  # JSON is YAML
        return file
