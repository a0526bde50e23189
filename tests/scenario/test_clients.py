from __future__ import annotations

from typing import Any

import pytest


def test_more_clients_than_certificates(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["groups"]["sensors"]["clients"] = 30
    (line,) = complain(base)
    assert 'clients 0 and 20 have the same id "APM00000"' in line
    assert 'raise its count, or write "{cn}-{index}"' in line


def test_two_groups_with_the_same_ids(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["groups"]["dashboards"]["client_id"] = "{cn}"
    (line,) = complain(base)
    assert line == (
        's.yaml:21: groups.dashboards.client_id: client 0 of "sensors" and client 0 of "dashboards" have the '
        'same id "APM00000" (write another, for example "dashboards-{index}")'
    )


def test_a_constant_id(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["groups"]["sensors"]["client_id"] = "me"
    (line,) = complain(base)
    assert 'clients 0 and 1 have the same id "me"' in line
    base["groups"]["sensors"]["clients"] = 1
    assert complain(base) == []


@pytest.mark.parametrize("client_id", ["", "x" * 65536 + "{index}", "a\0{index}"])
def test_ids_mqtt_cannot_carry(base: dict[str, Any], complain: Any, client_id: str) -> None:  # noqa: ANN401
    base["groups"]["sensors"]["client_id"] = client_id
    (line,) = complain(base)
    assert "a client id has 1 to 65535 bytes and no NUL" in line


def test_ids_from_what_is_not_known_yet_are_left_to_the_plan(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["groups"]["sensors"]["client_id"] = "{serial}"
    assert complain(base) == []
    base["identities"]["devices"] = {"directory": {"path": "certs/mine"}}
    base["groups"]["sensors"]["client_id"] = "{san.dns}"
    assert complain(base) == []


def test_ids_from_a_name_the_certificates_do_not_have(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["groups"]["sensors"]["client_id"] = "{san.dns.1}"
    base["identities"]["devices"]["issue"]["san"] = {"dns": ["d{index}"]}
    (line,) = complain(base)
    assert 'the certificates of "devices" have no {san.dns.1}' in line
    base["groups"]["sensors"]["client_id"] = "{san.dns.0}"
    assert complain(base) == []


@pytest.mark.parametrize(
    ("issue", "what"),
    [
        ({"common_name": "same"}, 'certificates 0 and 1 would both be named "same"'),
        ({"common_name": ""}, "a common name has 1 to 64"),
        ({"common_name": "x" * 60 + "{index:05d}"}, "a common name has 1 to 64"),
        (
            {"common_name": "d{index}", "san": {"ip": ["10.0.0.{index}", "10.0.{index}"]}},
            "is not an IP address",
        ),
    ],
)
def test_refused_names(base: dict[str, Any], complain: Any, issue: dict[str, Any], what: str) -> None:  # noqa: ANN401
    base["identities"]["devices"] = {"issue": {"count": 20, **issue}}
    base["groups"]["sensors"]["client_id"] = "s{index}"
    assert any(what in line and "identities.devices.issue" in line for line in complain(base))


def test_two_sets_of_one_name(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["identities"]["others"] = {"issue": {"count": 5, "common_name": "APM{index:05d}"}}
    (line,) = complain(base)
    assert 'is issued by the set "devices" into certs/out, too' in line
    base["identities"]["others"]["issue"]["out"] = "certs/others"
    assert complain(base) == []
