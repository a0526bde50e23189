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

    Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="session")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Rigs:
    folder: Path = tmp_path_factory.mktemp("backend")
    authority = Authority.create(folder / "certs")
    certificate, key = authority.issue_server("fake", dns=["localhost"], ip=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    identities = authority.issue_clients([ClientRequest(f"dev{number:02d}") for number in range(10)])
    return Rigs(folder / "scenario.yaml", authority, context, identities)


@pytest.fixture
def run() -> Run:
    return run_on_fast_loop
