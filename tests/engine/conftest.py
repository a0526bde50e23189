from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from loadgen.engine.loop import run_on_fast_loop
from loadgen.identity.authority import Authority, ClientRequest
from tests.engine.rig import Rigs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from loadgen.identity.identity import Identity

    Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="session")
def server_tls(authority: Authority) -> ssl.SSLContext:
    """Mutual TLS, as a broker has it."""
    certificate, key = authority.issue_server("fake", dns=["localhost"], ip=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(scope="session")
def identities(authority: Authority) -> list[Identity]:
    return authority.issue_clients([ClientRequest(f"dev{number:02d}") for number in range(20)])


@pytest.fixture
def rigs(
    tmp_path: Path, authority: Authority, server_tls: ssl.SSLContext, identities: list[Identity]
) -> Rigs:
    return Rigs(tmp_path / "scenario.yaml", authority, server_tls, identities)


@pytest.fixture
def run() -> Run:
    return run_on_fast_loop
