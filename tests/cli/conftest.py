from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from loadgen.identity.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Certs:
    """A folder with a CA, a broker's certificate for 127.0.0.1 and localhost, and room for clients'."""

    folder: Path
    authority: Authority
    server: tuple[Path, Path]

    @property
    def ca(self) -> Path:
        return self.authority.certificate

    def server_context(self, *, mutual: bool = True, trust: Path | None = None) -> ssl.SSLContext:
        """What a broker uses; `trust` is another CA whose clients it takes instead."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server)
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(trust or self.ca)
        return context


def make_certs(folder: Path) -> Certs:
    authority = Authority.ensure(folder)
    server = authority.issue_server("broker", dns=["localhost"], ip=["127.0.0.1"])
    return Certs(folder, authority, server)


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    return make_certs(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="session")
def other_certs(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    return make_certs(tmp_path_factory.mktemp("other-certs"))


SCENARIO = """\
name: small
target:
  uris: ["mqtts://127.0.0.1:{port}"]
  tls: {{ca: {ca}}}
identities:
  devices: {{issue: {{count: 6, common_name: "dev{{index}}", out: {out}}}}}
groups:
  publishers:
    clients: 4
    identity: devices
    publish: {{topic: "t/{{index}}", qos: 1, rate: 20/s}}
  subscribers:
    clients: 2
    identity: devices
    client_id: "sub{{index}}"
    subscribe: {{filter: "t/#", qos: 1}}
stages:
  - {{name: connect, connect: 100/s}}
  - {{name: warm-up, hold: 300ms, record: false}}
  - {{name: steady, hold: 500ms}}
  - {{name: drain, drain: 5s}}
"""


def write_scenario(folder: Path, certs: Certs, port: int) -> Path:
    """Write `small.yaml` for a broker on a port of loopback."""
    path = folder / "small.yaml"
    path.write_text(SCENARIO.format(port=port, ca=certs.ca, out=certs.folder))
    return path
