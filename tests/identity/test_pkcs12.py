from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.check import check_identities, check_trust
from loadgen.identity.pkcs12 import UNPACKED, export, read_containers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenSSL = Callable[..., str]


class Word:
    def __init__(self, password: str = "open sesame") -> None:
        self.password = password

    def reveal(self) -> str:
        return self.password


@pytest.fixture
def container(tmp_path: Path) -> Path:
    authority = Authority.ensure(tmp_path / "out", intermediates=1)
    (client,) = authority.issue_clients([ClientRequest("dev1", {"dns": ("d1",)})])
    path = tmp_path / "p12" / "dev1.p12"
    export(client.certificate, client.key, path, "open sesame", None)
    return path


def test_openssl_opens_what_we_export(container: Path, openssl: OpenSSL) -> None:
    assert stat.S_IMODE(container.stat().st_mode) == 0o600
    opened = ("pkcs12", "-in", container, "-passin", "pass:open sesame", "-nodes")
    text = openssl(*opened)
    assert text.count("BEGIN CERTIFICATE") == 3
    assert text.count("BEGIN PRIVATE KEY") == 1
    with pytest.raises(AssertionError):
        openssl("pkcs12", "-in", container, "-passin", "pass:other", "-nodes")


def test_what_was_exported_is_read_back(container: Path, tmp_path: Path) -> None:
    (one,) = read_containers(container, None, Word())
    assert (one.cn, one.sans, one.name) == ("dev1", {"dns": ("d1",)}, "dev1")
    root = tmp_path / "out" / "ca_certificate.pem"
    assert check_identities([one], root) == check_trust([one], root) == []
    assert stat.S_IMODE(one.key.stat().st_mode) == 0o600
    assert stat.S_IMODE((container.parent / UNPACKED).stat().st_mode) == 0o700
    before = one.key.stat().st_mtime_ns
    assert read_containers(container, None, Word()) == [one]
    assert one.key.stat().st_mtime_ns == before, "unpacked once"


def test_openssls_containers_by_folder_and_name(tmp_path: Path, openssl: OpenSSL) -> None:
    for name, suffix in (("b", "p12"), ("a", "pfx")):
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 30, "-subj", f"/CN={name}"),
            *("-keyout", tmp_path / "k", "-out", tmp_path / "c"),
        )
        openssl(
            *("pkcs12", "-export", "-in", tmp_path / "c", "-inkey", tmp_path / "k"),
            *("-passout", "pass:x", "-out", tmp_path / f"{name}.{suffix}"),
        )
    assert [one.cn for one in read_containers(tmp_path, None, Word("x"))] == ["a", "b"]
    assert [one.cn for one in read_containers(tmp_path, ["b"], Word("x"))] == ["b"]


def test_everything_that_is_wrong(container: Path, tmp_path: Path) -> None:
    container.with_name("broken.p12").write_bytes(b"rubbish")
    with pytest.raises(ConfigError) as caught:
        read_containers(container.parent, ["dev1", "broken", "gone"], Word("wrong word"))
    assert len(caught.value.problems) == 3
    assert "wrong word" not in str(caught.value)
    assert not (container.parent / UNPACKED).exists()
    with pytest.raises(ConfigError, match=r"no .p12 or .pfx"):
        read_containers(tmp_path, None, None)
