from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity import lifetime
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.check import check_identities
from loadgen.identity.directory import read_directory
from loadgen.identity.sets import issue_set

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

    from loadgen.identity.identity import Identity

    OpenSSL = Callable[..., str]


def apm(index: int) -> str:
    return f"APM{index:05d}"


def one_dns(index: int) -> dict[str, tuple[str, ...]]:
    return {"dns": (f"apm{index}.example",)}


def devices(out: Path, count: int = 5, **changes: object) -> tuple[list[Identity], int]:
    """The set and how many of it were issued now."""
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))

    arguments: dict[str, object] = {"sans": one_dns, "out": out, "progress": progress, **changes}
    name, common_name = arguments.pop("name", "devices"), arguments.pop("common_name", apm)
    identities = issue_set(name, count, common_name, **arguments)  # type: ignore[arg-type]
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    assert all(total == len(steps) for _, total in steps)
    return identities, len(steps)


def serials(identities: list[Identity]) -> list[str]:
    return [identity.serial for identity in identities]


def test_a_set_is_issued_once_and_then_read_from_its_manifest(tmp_path: Path, parsed: list[str]) -> None:
    first, issued = devices(tmp_path)
    assert issued == 5
    assert [one.cn for one in first] == [apm(index) for index in range(5)]
    parsed.clear()
    second, issued = devices(tmp_path)
    assert issued == 0
    assert second == first
    assert set(parsed) == {"ca_certificate.pem"}
    assert read_directory(tmp_path) == first


def test_a_set_that_is_there_needs_neither_the_ca_key_nor_a_write(tmp_path: Path) -> None:
    first, _ = devices(tmp_path)
    (tmp_path / "ca_key.pem").unlink()
    before = {entry.name: entry.stat().st_mtime_ns for entry in tmp_path.iterdir()}
    second, _ = devices(tmp_path)
    assert second == first
    assert {entry.name: entry.stat().st_mtime_ns for entry in tmp_path.iterdir()} == before
    with pytest.raises(ConfigError, match="private key is not there"):
        devices(tmp_path, count=6)


def test_no_identity_or_manifest_names_the_ca_key(tmp_path: Path) -> None:
    identities, _ = devices(tmp_path)
    assert not any("ca_key" in repr(identity) for identity in identities)
    secret = "".join((tmp_path / "ca_key.pem").read_text().splitlines()[1:-1])
    manifest = (tmp_path / "devices.manifest.json").read_text()
    assert "ca_key" not in manifest
    assert secret[:20] not in manifest


def test_growing_issues_only_what_is_new_and_shrinking_nothing(tmp_path: Path) -> None:
    first, _ = devices(tmp_path)
    more, issued = devices(tmp_path, count=8)
    assert issued == 3
    assert more[:5] == first
    less, issued = devices(tmp_path, count=2)
    assert (less, issued) == (first[:2], 0)
    assert devices(tmp_path, count=8) == (more, 0)


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_a_missing_file_is_issued_again(tmp_path: Path, missing: str) -> None:
    first, _ = devices(tmp_path)
    getattr(first[2], missing).unlink()
    second, issued = devices(tmp_path)
    assert issued == 1
    assert [old == new for old, new in zip(serials(first), serials(second), strict=True)].count(False) == 1
    assert second[2].serial != first[2].serial


@pytest.mark.parametrize(
    "change",
    [
        {"sans": lambda index: {"dns": (f"other{index}",)}},
        {"sans": lambda index: {"dns": (f"apm{index}.example",), "ip": ("10.0.0.1",)}},
        {"sans": None},
        {"organization": "acme"},
        {"organization": None},
        {"key": "rsa-2048"},
        {"valid_for_s": 30 * 86_400},
    ],
)
def test_a_change_of_any_part_issues_again(tmp_path: Path, change: dict[str, object]) -> None:
    first, _ = devices(tmp_path, count=2)
    second, issued = devices(tmp_path, count=2, **change)
    assert issued == 2
    assert not set(serials(first)) & set(serials(second))
    assert devices(tmp_path, count=2, **change) == (second, 0)
    assert read_directory(tmp_path) == second


def test_another_ca_issues_all_again(tmp_path: Path, openssl: OpenSSL) -> None:
    devices(tmp_path)
    for name in ("ca_certificate.pem", "ca_key.pem"):
        (tmp_path / name).unlink()
    second, issued = devices(tmp_path)
    assert issued == 5
    for identity in second:
        openssl("verify", "-CAfile", tmp_path / "ca_certificate.pem", identity.certificate)


def test_what_is_about_to_expire_is_issued_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = devices(tmp_path)
    later = first[0].not_after - 30 * 86_400
    monkeypatch.setattr("loadgen.identity.sets.time.time", lambda: later)
    assert lifetime.expires_soon(first[0].not_before, first[0].not_after, later)
    _, issued = devices(tmp_path)
    assert issued == 5


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"format": 1}', '{"format": 99, "identities": {}}', "gone"]
)
def test_without_its_manifest_a_set_is_read_and_kept(tmp_path: Path, broken: str) -> None:
    first, _ = devices(tmp_path)
    manifest = tmp_path / "devices.manifest.json"
    manifest.unlink()
    if broken != "gone":
        manifest.write_text(broken)
    assert devices(tmp_path) == (first, 0)
    assert len(json.loads(manifest.read_text())["identities"]) == 5


def test_a_copy_of_the_directory_is_kept(tmp_path: Path) -> None:
    first, _ = devices(tmp_path / "a")
    os.makedirs(tmp_path / "b")  # noqa: PTH103
    for entry in (tmp_path / "a").iterdir():
        (tmp_path / "b" / entry.name).write_bytes(entry.read_bytes())
    second, issued = devices(tmp_path / "b")
    assert issued == 0
    assert serials(second) == serials(first)


@pytest.mark.parametrize("damage", ["swapped key", "other certificate", "rubbish", "foreign CA"])
def test_a_pair_that_was_damaged_is_issued_again(tmp_path: Path, damage: str, openssl: OpenSSL) -> None:
    first, _ = devices(tmp_path)
    if damage == "swapped key":
        first[0].key.write_bytes(first[1].key.read_bytes())
    elif damage == "other certificate":
        first[0].certificate.write_bytes(first[1].certificate.read_bytes())
    elif damage == "rubbish":
        first[0].certificate.write_bytes(b"\x00\xff rubbish")
    else:
        other = Authority.create(tmp_path / "other")
        (foreign,) = other.issue_clients([ClientRequest(apm(0), one_dns(0))])
        first[0].certificate.write_bytes(foreign.certificate.read_bytes())
        first[0].key.write_bytes(foreign.key.read_bytes())
    second, issued = devices(tmp_path)
    assert issued == 1
    openssl("verify", "-CAfile", tmp_path / "ca_certificate.pem", second[0].certificate)
    assert check_identities(second, tmp_path / "ca_certificate.pem") == []


def test_two_sets_share_what_is_the_same(tmp_path: Path) -> None:
    first, _ = devices(tmp_path)
    assert devices(tmp_path, name="again") == (first, 0)
    assert check_identities(first, tmp_path / "ca_certificate.pem") == []


def test_a_later_set_takes_a_common_name_over_and_the_check_tells_the_earlier(tmp_path: Path) -> None:
    first, _ = devices(tmp_path, count=3)
    second, issued = devices(tmp_path, count=2, name="later", organization="acme")
    assert issued == 2
    (problem,) = check_identities([*first, *second], tmp_path / "ca_certificate.pem")
    assert not problem.warning
    assert "another certificate for 'APM00000' has taken its place, and 1 more like it" in str(problem)
    again, issued = devices(tmp_path, count=3)
    assert issued == 2
    assert check_identities(again, tmp_path / "ca_certificate.pem") == []


def test_odd_set_and_common_names(tmp_path: Path) -> None:
    identities, _ = devices(tmp_path, count=2, name="../x", common_name=lambda index: f"../{index}/é")
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.suffix == ".json") == [
        "..%2Fx.manifest.json"
    ]
    assert devices(tmp_path, count=2, name="../x", common_name=lambda i: f"../{i}/é") == (identities, 0)
    assert read_directory(tmp_path, ["../1/é"]) == [identities[1]]


def test_the_same_common_name_twice_is_refused_even_when_it_is_there(tmp_path: Path) -> None:
    devices(tmp_path, count=1)
    with pytest.raises(ConfigError, match=r"\{index\}"):
        devices(tmp_path, count=2, common_name=lambda _: apm(0), sans=lambda _: one_dns(0))


def test_a_stop_in_the_middle_keeps_what_was_issued(tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        issue_set("devices", 5, apm, one_dns, out=tmp_path, progress=stop)
    _, issued = devices(tmp_path)
    assert issued == 2


_VICTIM = """
import sys
from pathlib import Path
from loadgen.identity.sets import issue_set
def tell(done, total):
    print(done, flush=True)
issue_set("devices", 900, lambda i: f"APM{i:05d}", out=Path(sys.argv[1]), organization=None, progress=tell)
"""


def test_a_kill_in_the_middle_leaves_no_half_pair_and_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        while victim.stdout.readline().strip() != "20":
            pass
        victim.send_signal(signal.SIGKILL)
    present = [index for index in range(200) if (tmp_path / f"client_{apm(index)}_certificate.pem").exists()]
    assert len(present) >= 20
    whole = read_directory(tmp_path, [apm(index) for index in present])
    assert check_identities(whole, tmp_path / "ca_certificate.pem") == []
    again, issued = devices(tmp_path, count=len(present), sans=None, organization=None)
    assert issued == 0
    assert serials(again) == serials(whole)


def _issue_and_tell(out: Path, start: Barrier, result: Queue[list[str]]) -> None:
    start.wait(timeout=30)
    result.put([one.serial for one in issue_set("devices", 50, apm, one_dns, out=out)])


def test_two_processes_at_once_get_the_same_certificates(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(3)
    result: Queue[list[str]] = spawn.Queue()
    workers = [
        spawn.Process(target=_issue_and_tell, args=(tmp_path / "out", start, result)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    found = [result.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(timeout=30)
        assert worker.exitcode == 0
    assert found[0] == found[1] == found[2]
    assert serials(read_directory(tmp_path / "out")) == found[0]


def test_a_directory_of_tls_gen_is_read(tmp_path: Path, openssl: OpenSSL) -> None:
    # Made by openssl alone with the names, subject and SANs that tls-gen's basic profile gives.
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 30, "-subj", "/CN=host1/O=client"),
        *("-addext", "subjectAltName=DNS:host1,DNS:localhost", "-set_serial", "0x0abc"),
        *("-keyout", tmp_path / "client_host1_key.pem", "-out", tmp_path / "client_host1_certificate.pem"),
    )
    for alias in ("client_certificate.pem", "client_key.pem", "client_host1.p12", "server_host1_key.pem"):
        (tmp_path / alias).write_bytes(b"not read")
    (host,) = read_directory(tmp_path)
    assert (host.name, host.cn, host.organization, host.serial) == ("host1", "host1", "client", "0ABC")
    assert host.sans == {"dns": ("host1", "localhost")}
    assert host.subject_rabbitmq == "O=client,CN=host1"
    assert host.key_type == "rsa-2048"


def test_every_half_pair_of_a_directory_is_told(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    a, b, c = authority.issue_clients([ClientRequest("a"), ClientRequest("b"), ClientRequest("c")])
    a.key.unlink()
    b.certificate.unlink()
    c.certificate.write_bytes(b"rubbish")
    with pytest.raises(ConfigError) as caught:
        read_directory(tmp_path)
    told = "\n".join(str(problem) for problem in caught.value.problems)
    assert len(caught.value.problems) == 3
    for file in ("client_a_key.pem", "client_b_certificate.pem", "client_c_certificate.pem"):
        assert file in told


def test_a_directory_that_has_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no client_<name>_certificate.pem"):
        read_directory(tmp_path)
    with pytest.raises(ConfigError, match="nowhere: No such file"):
        read_directory(tmp_path / "nowhere")
    Authority.create(tmp_path).issue_clients([ClientRequest("a")])
    with pytest.raises(ConfigError, match=r"client_b_certificate.pem: No such file"):
        read_directory(tmp_path, ["a", "b"])
