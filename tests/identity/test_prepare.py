from __future__ import annotations

import dataclasses
import pickle
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.check import check_identities
from loadgen.identity.crl import read_revoked
from loadgen.identity.pkcs12 import export
from loadgen.identity.prepare import planned_set, prepare_set, prepare_sets
from loadgen.identity.tls import client_context, load_identity
from loadgen.scenario.identities import IdentitySet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenSSL = Callable[..., str]


def test_a_set_is_issued_as_its_templates_say(tmp_path: Path) -> None:
    issue = {
        "count": 2,
        "common_name": "{set}-{index:03d}",
        "san": {"dns": ["a{index}", "b"], "uri": ["urn:{set}:{index}"]},
        "valid_for": "10d",
        "out": str(tmp_path),
    }
    first, second = prepare_set("meters", IdentitySet.model_validate({"issue": issue}))
    assert (first.cn, second.cn) == ("meters-000", "meters-001")
    assert second.sans == {"dns": ("a1", "b"), "uri": ("urn:meters:1",)}
    assert second.subject_rabbitmq == "CN=meters-001"
    assert second.not_after - second.not_before == 10 * 86_400 + 300
    assert (tmp_path / "meters.manifest.json").exists()


def test_a_revoked_set_is_on_the_crl_once_and_others_are_not(tmp_path: Path, openssl: OpenSSL) -> None:
    issue = {"count": 2, "common_name": "{set}-{index}", "out": str(tmp_path)}
    prepare_set("good", IdentitySet.model_validate({"issue": issue}))
    bad = IdentitySet.model_validate({"issue": {**issue, "revoked": True}})
    first = prepare_set("bad", bad)
    crl = (tmp_path / "ca_crl.pem").read_bytes()
    assert {one.serial for one in read_revoked(tmp_path)} == {one.serial for one in first}
    text = openssl("crl", "-in", str(tmp_path / "ca_crl.pem"), "-text", "-noout")
    assert text.count("Serial Number:") == 2
    assert prepare_set("bad", bad) == first
    assert (tmp_path / "ca_crl.pem").read_bytes() == crl, "nothing is written again"


def test_a_directory_is_read_whole_or_by_names(tmp_path: Path) -> None:
    issue = {"count": 3, "common_name": "dev{index}", "out": str(tmp_path)}
    issued = prepare_set("all", IdentitySet.model_validate({"issue": issue}))
    whole = IdentitySet.model_validate({"directory": {"path": str(tmp_path)}})
    named = IdentitySet.model_validate({"directory": {"path": str(tmp_path), "names": "dev{index}"}})
    one = IdentitySet.model_validate({"directory": {"path": str(tmp_path), "names": "dev2"}})
    assert prepare_set("x", whole) == issued
    assert prepare_set("x", named, needed=2) == issued[:2]
    assert prepare_set("x", one, needed=5) == [issued[2]]
    with pytest.raises(ConfigError, match=r"client_dev3_certificate.pem"):
        prepare_set("x", named, needed=4)


def test_every_wish_of_a_scenario_reaches_the_certificate(tmp_path: Path, openssl: OpenSSL) -> None:
    issue = {
        "count": 2,
        "common_name": "dev{index}",
        "organization": "acme",
        "organizational_unit": "unit {index}",
        "serial_number": "S-{index}",
        "san": {"other_name": ["1.2.3.4=dev{index}"]},
        "extended_key_usage": ["client_auth", "server_auth"],
        "key": "ec-p384",
        "not_before": "-2d",
        "not_after": "+3d",
        "intermediates": 1,
        "out": str(tmp_path),
    }
    spec = IdentitySet.model_validate({"issue": issue})
    _, one = prepare_set("s", spec)
    assert one.template_fields()["ou"] == "unit 1"
    assert one.template_fields()["san.other_name"] == "dev1"
    assert one.not_after - one.not_before == 5 * 86_400
    assert one.subject_rabbitmq == "SERIALNUMBER=S-1,OU=unit 1,O=acme,CN=dev1"
    chain = ("-CAfile", tmp_path / "ca_certificate.pem", "-untrusted", one.certificate)
    for purpose in ("sslclient", "sslserver"):
        openssl("verify", *chain, "-purpose", purpose, one.certificate)
    assert spec.issue is not None
    planned = planned_set("s", spec.issue)[1]
    assert (planned.cn, planned.sans, planned.subject_rabbitmq) == (one.cn, one.sans, one.subject_rabbitmq)


def test_keys_with_a_password_load_for_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADGEN_TEST_PASSWORD", "open sesame")
    word = {"env": "LOADGEN_TEST_PASSWORD"}
    issue = {"count": 1, "common_name": "dev", "key_password": word, "out": str(tmp_path)}
    (one,) = prepare_set("s", IdentitySet.model_validate({"issue": issue}))
    assert "sesame" not in repr(one)
    assert check_identities([one]) == []
    read = {"path": str(tmp_path), "key_password": word}
    (same,) = prepare_set("x", IdentitySet.model_validate({"directory": read}))
    for each in (one, pickle.loads(pickle.dumps(same))):
        load_identity(client_context(None), each)
    monkeypatch.setenv("LOADGEN_TEST_PASSWORD", "closed")
    assert "password does not open" in str(check_identities([dataclasses.replace(one, serial="")])[0])


def test_certificates_that_do_not_lead_to_the_brokers_ca(tmp_path: Path) -> None:
    for name in ("a", "b"):
        issue = {"count": 2, "common_name": f"{name}{{index}}", "out": str(tmp_path / name)}
        prepare_set(name, IdentitySet.model_validate({"issue": issue}))
    own, other = tmp_path / "a" / "ca_certificate.pem", tmp_path / "b" / "ca_certificate.pem"
    good = IdentitySet.model_validate({"directory": {"path": str(tmp_path / "a"), "ca": str(own)}})
    bad = IdentitySet.model_validate({"directory": {"path": str(tmp_path / "a"), "ca": str(other)}})
    assert len(prepare_set("x", good)) == 2
    with pytest.raises(ConfigError, match=r"not signed by .*and 1 more like it"):
        prepare_set("x", bad)


def test_the_problems_of_all_sets_are_told_at_once(tmp_path: Path) -> None:
    specs = {
        "one": {"directory": {"path": str(tmp_path / "nowhere")}},
        "two": {"csv": {"path": str(tmp_path / "none.csv")}},
        "three": {"pkcs12": {"path": str(tmp_path / "none.p12")}},
        "four": {"issue": {"count": 1, "common_name": "x" * 65, "out": str(tmp_path)}},
    }
    with pytest.raises(ConfigError) as caught:
        prepare_sets({name: IdentitySet.model_validate(spec) for name, spec in specs.items()})
    assert len(caught.value.problems) == 4


def test_a_table_and_containers_of_a_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issue = {"count": 2, "common_name": "dev{index}", "out": str(tmp_path)}
    issued = prepare_set("s", IdentitySet.model_validate({"issue": issue}))
    table = "certificate,key,site\n" + "".join(
        f"{one.certificate.name},{one.key.name},s{index}\n" for index, one in enumerate(issued)
    )
    (tmp_path / "fleet.csv").write_text(table)
    csv = {"path": str(tmp_path / "fleet.csv"), "where": {"site": "s1"}}
    (one,) = prepare_set("x", IdentitySet.model_validate({"csv": csv}))
    assert (one.cn, one.template_fields()["csv.site"]) == ("dev1", "s1")
    monkeypatch.setenv("LOADGEN_TEST_PASSWORD", "open sesame")
    for each in issued:
        export(each.certificate, each.key, tmp_path / "p12" / f"{each.cn}.p12", "open sesame", None)
    pkcs12 = {
        "path": str(tmp_path / "p12"),
        "password": {"env": "LOADGEN_TEST_PASSWORD"},
        "names": "dev{index}",
    }
    found = prepare_set("x", IdentitySet.model_validate({"pkcs12": pkcs12}), needed=2)
    assert [each.cn for each in found] == ["dev0", "dev1"]
