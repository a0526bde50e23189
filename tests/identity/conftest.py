from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from loadgen.identity import reading
from loadgen.identity.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography import x509

    OpenSSL = Callable[..., str]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "out")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the certificate files that were parsed."""
    seen: list[str] = []
    one, chain = reading.parse_certificate, reading.parse_chain

    def watched(content: bytes, where: Path) -> x509.Certificate:
        seen.append(where.name)
        return one(content, where)

    def watched_chain(content: bytes, where: Path) -> list[x509.Certificate]:
        seen.append(where.name)
        return chain(content, where)

    monkeypatch.setattr(reading, "parse_certificate", watched)
    monkeypatch.setattr(reading, "parse_chain", watched_chain)
    return seen


@pytest.fixture(scope="session")
def openssl() -> OpenSSL:
    """The openssl command, an independent judge; raises when it refuses."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("no openssl command on this machine")

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [command, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
