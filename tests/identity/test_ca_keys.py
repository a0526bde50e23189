from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.identity.authority import Authority
from loadgen.identity.ca_keys import check_ca_keys

if TYPE_CHECKING:
    from pathlib import Path


def test_a_ca_key_of_ours_is_no_news_unless_others_may_read_it(tmp_path: Path) -> None:
    Authority.ensure(tmp_path, intermediates=1)
    assert check_ca_keys([tmp_path], [tmp_path]) == []
    (tmp_path / "ca_key.pem").chmod(0o640)
    (tmp_path / "intermediate_1_key.pem").chmod(0o644)
    found = check_ca_keys([tmp_path, tmp_path], [tmp_path])
    assert [problem.what for problem in found] == [
        "the CA's private key can be read by others (mode 640)",
        "the CA's private key can be read by others (mode 644)",
    ]
    assert all(problem.warning for problem in found)


def test_a_ca_key_beside_certificates_that_were_brought_along(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    key = tmp_path / "private" / "ca.key"
    key.touch(mode=0o600)
    (problem,) = check_ca_keys([tmp_path])
    assert problem.where == str(key)
    assert "beside the clients' certificates" in problem.what
    assert problem.warning


def test_no_key_no_warning(tmp_path: Path) -> None:
    assert check_ca_keys([tmp_path, tmp_path / "not there"]) == []
