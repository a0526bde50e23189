"""Issuing on several processes gives what issuing on one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError, WorkerError
from loadgen.identity import storage
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.check import check_identities
from loadgen.identity.directory import read_directory
from loadgen.identity.issuing import issue_many
from loadgen.identity.sets import Place, issue_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenSSL = Callable[..., str]

REQUESTS = [
    ClientRequest(f"dev{index}", {"dns": (f"d{index}",)}, attributes={"ou": "fleet"}) for index in range(120)
]


class Word:
    def reveal(self) -> str:
        return "open sesame"


def test_several_processes_issue_all_of_it_once(tmp_path: Path, openssl: OpenSSL) -> None:
    authority = Authority.ensure(tmp_path, intermediates=1)
    with storage.exclusive(tmp_path) as lock:
        entries = list(issue_many(authority, REQUESTS, lock=lock, processes=2))
    assert sorted(entry.stem for entry in entries) == sorted(request.cn for request in REQUESTS)
    assert len({entry.serial for entry in entries}) == len(REQUESTS)
    identities = read_directory(tmp_path)
    assert check_identities(identities, tmp_path / "ca_certificate.pem") == []
    root, one = tmp_path / "ca_certificate.pem", identities[7].certificate
    openssl("verify", "-CAfile", root, "-untrusted", one, one)
    assert not list(tmp_path.glob(".loadgen-pending*"))


def test_passwords_reach_them_by_pipe_alone(tmp_path: Path, openssl: OpenSSL) -> None:
    authority = Authority.ensure(tmp_path, password=Word())
    with storage.exclusive(tmp_path) as lock:
        entries = list(
            issue_many(
                authority, REQUESTS[:60], lock=lock, processes=1 + 1, ca_password=Word(), key_password=Word()
            )
        )
    assert all(entry.encrypted for entry in entries)
    openssl("pkey", "-in", tmp_path / "client_dev3_key.pem", "-passin", "pass:open sesame", "-noout")


def test_a_set_issued_by_several_is_the_set_issued_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadgen.identity.issuing._processes", lambda _: 2)
    seen: list[tuple[int, int]] = []
    place = Place(tmp_path)
    many = issue_requests("s", REQUESTS, place, lambda done, total: seen.append((done, total)))
    assert [one.cn for one in many] == [request.cn for request in REQUESTS]
    assert [done for done, _ in seen] == list(range(1, len(REQUESTS) + 1))
    assert (
        issue_requests("s", REQUESTS, place)
        == many
        == sorted(read_directory(tmp_path), key=lambda one: int(one.cn[3:]))
    )


def test_what_a_process_cannot_do_is_told(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path)
    (tmp_path / "ca_key.pem").write_text("rubbish")
    with (
        storage.exclusive(tmp_path) as lock,
        pytest.raises(ConfigError, match=r"ca_key.pem: no private key"),
    ):
        list(issue_many(authority, REQUESTS, lock=lock, processes=2))


def test_a_process_that_ends_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority.ensure(tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with (
        storage.exclusive(tmp_path) as lock,
        pytest.raises(WorkerError, match="ended too early"),
    ):
        list(issue_many(authority, REQUESTS, lock=lock, processes=2))


def test_an_interruption_keeps_what_was_issued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.identity.issuing._processes", lambda _: 2)

    def stop(done: int, _total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        issue_requests("s", REQUESTS, Place(tmp_path), stop)
    present = read_directory(tmp_path)
    assert 10 <= len(present) <= len(REQUESTS)
    assert check_identities(present, tmp_path / "ca_certificate.pem") == []
    steps: list[int] = []
    issue_requests("s", REQUESTS, Place(tmp_path), lambda _done, total: steps.append(total))
    assert len(steps) == len(REQUESTS) - len(present)


_VICTIM = """
import sys
from pathlib import Path
from loadgen.identity import issuing
from loadgen.identity.authority import ClientRequest
from loadgen.identity.sets import Place, issue_requests
issuing._processes = lambda _: 2
requests = [ClientRequest(f"dev{i}") for i in range(5000)]
issue_requests("s", requests, Place(Path(sys.argv[1])), lambda done, total: print(done, flush=True))
"""


def test_the_lock_outlives_a_killed_coordinator_until_its_helpers_end(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        while victim.stdout.readline().strip() != "20":
            pass
        victim.send_signal(signal.SIGKILL)
    with storage.exclusive(tmp_path):  # waits for the helpers
        before = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(tmp_path)}
        keys = {name for name in before if name.endswith("_key.pem")}
        whole = {name for name in before if name.endswith("_certificate.pem")}
        assert {name.replace("_certificate", "_key") for name in whole} <= keys
    names = [name.removeprefix("client_").removesuffix("_certificate.pem") for name in whole]
    identities = read_directory(tmp_path, [name for name in names if name.startswith("dev")])
    assert check_identities(identities, tmp_path / "ca_certificate.pem") == []
