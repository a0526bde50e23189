"""Issuing once more: same names, other serials, keys and dates, and nothing of before is touched."""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING

from cryptography import x509

from loadgen.identity.authority import Authority
from loadgen.identity.check import check_identities
from loadgen.identity.issuing import issue_many
from loadgen.identity.prepare import prepare_set, requests_of
from loadgen.identity.renewal import issue_again
from loadgen.identity.storage import exclusive
from loadgen.scenario.identities import IdentitySet

if TYPE_CHECKING:
    from pathlib import Path


def test_a_set_is_issued_again_beside_what_is_in_use(tmp_path: Path) -> None:
    out, into = tmp_path / "out", tmp_path / "again"
    san = {"dns": ["d{index}.example"]}
    issue = {"count": 3, "common_name": "d/{index}", "san": san, "intermediates": 1, "out": str(out)}
    one = IdentitySet.model_validate({"issue": issue})
    assert one.issue is not None
    before = prepare_set("devices", one)
    kept = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    authority = Authority.open(out, intermediates=1)
    end = time.time() + 60
    after = issue_again("devices", one.issue, 2, into, authority=authority, not_after=end, later=2)
    assert kept == {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert [each.cn for each in after] == ["d/0", "d/1"]
    assert [each.sans for each in after] == [each.sans for each in before[:2]]
    assert not {each.serial for each in before} & {each.serial for each in after}
    for old, new in zip(before, after, strict=False):
        certificate = x509.load_pem_x509_certificates(new.certificate.read_bytes())[0]
        assert certificate.not_valid_after_utc.timestamp() == new.not_after == int(end)
        assert new.not_before > old.not_before, "told apart by their dates even when made in one second"
        assert f"{certificate.serial_number:X}".zfill(len(new.serial)) == new.serial
        assert stat.S_IMODE(new.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(into.stat().st_mode) == 0o700
    assert check_identities(after, authority.certificate) == []


def test_processes_issue_into_another_folder_too(tmp_path: Path) -> None:
    one = IdentitySet.model_validate({"issue": {"count": 4, "common_name": "d{index}", "out": str(tmp_path)}})
    assert one.issue is not None
    authority = Authority.ensure(tmp_path)
    into = tmp_path / "again"
    with exclusive(into) as lock:
        requests = requests_of("devices", one.issue)
        entries = list(issue_many(authority.into(into), requests, lock=lock, processes=2))
    assert sorted(entry.stem for entry in entries) == [f"d{n}" for n in range(4)]
    assert len(list(into.glob("client_*_key.pem"))) == 4
    assert not list(tmp_path.glob("client_*"))
