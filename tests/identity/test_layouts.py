from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.check import check_identities
from loadgen.identity.directory import read_directory
from loadgen.identity.layouts import LAYOUTS, Layout, recognise

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.identity.identity import Identity


@pytest.fixture
def clients(authority: Authority) -> list[Identity]:
    return authority.issue_clients([ClientRequest(f"dev{index}") for index in range(3)])


def put(folder: Path, layout: Layout, one: Identity) -> None:
    for pattern, source in ((layout.certificate, one.certificate), (layout.key, one.key)):
        path = folder / pattern.replace("{name}", one.cn)
        path.parent.mkdir(parents=True, exist_ok=True)
        old = path.read_bytes() if path.exists() else b""
        path.write_bytes(old + source.read_bytes())
        path.chmod(0o600)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.certificate + " " + layout.key)
def test_every_layout_is_recognised(
    tmp_path: Path, authority: Authority, clients: list[Identity], layout: Layout
) -> None:
    folder = tmp_path / "theirs"
    for one in clients:
        put(folder, layout, one)
    (folder / "ca.crt").write_bytes(authority.certificate.read_bytes())
    (folder / "README").write_text("nothing")
    found = read_directory(folder)
    assert [one.cn for one in found] == ["dev0", "dev1", "dev2"]
    assert [one.name for one in found] == ["dev0", "dev1", "dev2"]
    assert check_identities(found, authority.certificate) == []
    assert [one.cn for one in read_directory(folder, ["dev2", "dev0"])] == ["dev2", "dev0"]
    assert read_directory(folder, layout=layout) == found


def test_ca_and_server_files_are_no_clients(
    tmp_path: Path, authority: Authority, clients: list[Identity]
) -> None:
    authority.issue_server("rabbit1")
    layout = Layout("{name}.crt", "{name}.key")
    put(tmp_path / "x", layout, clients[0])
    for name in ("ca", "server", "root-ca", "fleet"):  # a CA by name, and one that only its content tells
        (tmp_path / "x" / f"{name}.crt").write_bytes(authority.certificate.read_bytes())
        (tmp_path / "x" / f"{name}.key").write_bytes((authority.directory / "ca_key.pem").read_bytes())
    assert [one.cn for one in read_directory(tmp_path / "x")] == ["dev0"]


def test_the_layout_with_most_pairs_wins() -> None:
    layout, names = recognise(["a.crt", "a.key", "b.crt", "b.key", "c-cert.pem", "c-key.pem", "d.crt"])
    assert (layout.certificate, names) == ("{name}.crt", ["a", "b", "d"])


def test_half_pairs_of_any_layout_are_told(tmp_path: Path, clients: list[Identity]) -> None:
    layout = Layout("{name}/tls.crt", "{name}/tls.key")
    for one in clients:
        put(tmp_path / "x", layout, one)
    (tmp_path / "x" / "dev1" / "tls.key").unlink()
    (tmp_path / "x" / "dev2" / "tls.crt").write_text("rubbish")
    with pytest.raises(ConfigError) as caught:
        read_directory(tmp_path / "x")
    assert len(caught.value.problems) == 2


def test_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigError, match="nor pairs of any other layout"):
        read_directory(tmp_path)
