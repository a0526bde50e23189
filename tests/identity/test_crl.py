from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.crl import REVOKED, read_revoked, revoke, write_crls
from loadgen.identity.sets import issue_set

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenSSL = Callable[..., str]


def test_openssl_refuses_what_is_revoked_and_nothing_else(tmp_path: Path, openssl: OpenSSL) -> None:
    good, bad = issue_set("s", 2, lambda index: f"dev{index}", out=tmp_path)
    (revoked,) = revoke(tmp_path, [bad.certificate], "keyCompromise")
    assert (revoked.serial, revoked.common_name, revoked.level) == (bad.serial, "dev1", 0)
    ca, crl = tmp_path / "ca_certificate.pem", tmp_path / "ca_crl.pem"
    verify = ("verify", "-CAfile", ca, "-CRLfile", crl, "-crl_check")
    openssl(*verify, good.certificate)
    with pytest.raises(AssertionError, match="certificate revoked"):
        openssl(*verify, bad.certificate)
    text = openssl("crl", "-in", crl, "-CAfile", ca, "-noout", "-text")
    assert "Key Compromise" in text
    assert issue_set("s", 2, lambda index: f"dev{index}", out=tmp_path) == [good, bad], (
        "it stays, to be shown"
    )


def test_revoking_again_changes_nothing(tmp_path: Path) -> None:
    one, two = issue_set("s", 2, lambda index: f"dev{index}", out=tmp_path)
    revoke(tmp_path, [one.certificate])
    first = read_revoked(tmp_path)
    assert revoke(tmp_path, [one.certificate, two.certificate])[0].serial == two.serial
    assert read_revoked(tmp_path)[:1] == first
    assert len(read_revoked(tmp_path)) == 2


def test_each_ca_has_its_list(tmp_path: Path, openssl: OpenSSL) -> None:
    authority = Authority.ensure(tmp_path, intermediates=1)
    (client,) = authority.issue_clients([ClientRequest("dev1")])
    root, between = tmp_path / "ca_certificate.pem", tmp_path / "intermediate_1_certificate.pem"
    assert [path.name for path in write_crls(tmp_path)] == ["ca_crl.pem", "intermediate_1_crl.pem"]
    lists = tmp_path / "all.pem"

    def verify() -> None:
        lists.write_bytes(
            b"".join((tmp_path / f"{one}_crl.pem").read_bytes() for one in ("ca", "intermediate_1"))
        )
        chain = ("-CAfile", root, "-untrusted", client.certificate)
        openssl("verify", *chain, "-CRLfile", lists, "-crl_check_all", client.certificate)

    verify()
    revoke(tmp_path, [between])
    with pytest.raises(AssertionError, match="certificate revoked"):
        verify()


def test_numbers_grow(tmp_path: Path, openssl: OpenSSL) -> None:
    Authority.create(tmp_path)
    numbers = []
    for _ in range(2):
        write_crls(tmp_path, valid_for_s=60)
        shown = openssl("crl", "-in", tmp_path / "ca_crl.pem", "-noout", "-crlnumber")
        numbers.append(int(shown.strip().removeprefix("crlNumber=0x"), 16))
    assert numbers[1] > numbers[0]


def test_what_cannot_be_revoked_is_told_at_once_and_nothing_is(tmp_path: Path) -> None:
    (own,) = issue_set("s", 1, lambda _: "own", out=tmp_path)
    (foreign,) = issue_set("s", 1, lambda _: "foreign", out=tmp_path / "other")
    with pytest.raises(ConfigError) as caught:
        revoke(tmp_path, [own.certificate, foreign.certificate, tmp_path / "gone.pem", own.key])
    assert len(caught.value.problems) == 3
    assert "not issued by the CA" in str(caught.value.problems[0])
    assert read_revoked(tmp_path) == []
    with pytest.raises(ConfigError, match="reason 'mood' is not known"):
        revoke(tmp_path, [own.certificate], "mood")


def test_a_broken_list_is_no_empty_list(tmp_path: Path) -> None:
    Authority.create(tmp_path)
    (tmp_path / REVOKED).write_text("{")
    with pytest.raises(ConfigError, match="broken"):
        write_crls(tmp_path)
