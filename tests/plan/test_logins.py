from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.plan.logins import accounts_of, certificate_names, login_rule, predict_logins
from loadgen.plan.plan import ClientPlan
from loadgen.scenario.target import Target
from tests.plan.conftest import identity

if TYPE_CHECKING:
    from loadgen.identity.identity import Identity

URIS = {"uris": ["mqtts://127.0.0.1:8883"]}


def target(**settings: Any) -> Target:  # noqa: ANN401 - YAML
    return Target.model_validate({**URIS, **settings})


def clients(*pairs: tuple[Identity, str]) -> list[ClientPlan]:
    return [
        ClientPlan(number, "g", number, one, client_id, (), (), (), (0,))
        for number, (one, client_id) in enumerate(pairs)
    ]


def test_the_target_tells_the_rule() -> None:
    rule = login_rule(
        target(
            login={"from": "subject_alternative_name", "san_type": "uri", "san_index": 2, "vhost": "iot"},
            client_id_from="distinguished_name",
        )
    )
    assert (str(rule.user), str(rule.client_id), rule.vhost) == ("SAN uri 2", "distinguished name", "iot")
    assert str(login_rule(target()).user) == "common name"
    assert login_rule(target()).client_id is None


def test_several_client_ids_may_share_a_certificate() -> None:
    found = predict_logins(
        clients((identity("a"), "1"), (identity("a"), "2"), (identity("b"), "3")), target()
    )
    assert (found.users, found.accepted, found.vhosts) == (2, 3, {"/": 3})
    assert found.problems == ()
    assert found.to_dict()["client_id_from"] is None


def test_the_colon_trap_is_a_warning() -> None:
    found = predict_logins(clients((identity("urn:a:1"), "1"), (identity("urn:a:2"), "2")), target())
    assert found.vhosts == {"urn:a": 2}
    (problem,) = found.problems
    assert problem.warning
    assert "'urn:a:1' as virtual host and user, split at the last colon and 1 more" in str(problem)
    whole = predict_logins(clients((identity("urn:a:1"), "1")), target(login={"ignore_colons": True}))
    assert (whole.vhosts, whole.problems) == ({"/": 1}, ())


def test_refused_client_ids_are_counted_by_reason() -> None:
    one, bare = identity("a", dns=("d0",)), identity("b")
    found = predict_logins(
        clients((one, "d0"), (one, "x"), (one, "y"), (bare, "anything")),
        target(client_id_from="subject_alternative_name"),
    )
    assert (found.accepted, found.unchecked_ids) == (2, 1)
    assert found.refusals == {"the client id must be SAN dns 0 of the certificate, 0x85": 2}
    refused, unchecked = map(str, found.problems)
    assert "the broker will refuse client 'x' and 1 more" in refused
    assert "1 certificates have no SAN dns 0: the broker accepts any client id" in unchecked


def test_certificates_without_a_user() -> None:
    login = {"from": "subject_alternative_name", "san_type": "email"}
    found = predict_logins(clients((identity("a"), "1")), target(login=login))
    assert found.refusals == {"the certificate has no SAN email 0, 0x86": 1}
    assert (found.users, found.vhosts) == (0, {})


def test_accounts_are_users_by_virtual_host() -> None:
    planned = clients(
        (identity("b"), "1"), (identity("a"), "2"), (identity("b"), "3"), (identity("site:c"), "4")
    )
    assert accounts_of(planned, target()) == {"/": ["a", "b"], "site": ["c"]}
    login = {"from": "subject_alternative_name", "san_type": "email", "vhost": "mqtt"}
    planned = clients((identity("a"), "1"), (identity("b", email=("m@x",)), "2"))
    assert accounts_of(planned, target(login=login)) == {"mqtt": ["m@x"]}


def test_a_user_name_counts_more_than_the_certificate() -> None:
    (one, other) = clients((identity("a"), "1"), (identity("b"), "2"))
    named = [replace(one, username="site:somebody"), other]
    assert accounts_of(named, target()) == {"/": ["b"], "site": ["somebody"]}
    verified = target(client_id_from="distinguished_name")
    assert predict_logins(named, verified).accepted == 0, "the client id is looked at before"


def test_a_virtual_host_of_a_certificate_counts_more_than_a_colon_in_it() -> None:
    login = {"default_vhosts": {"urn:a": "site"}}
    planned = clients((identity("urn:a"), "1"), (identity("urn:b"), "2"))
    assert accounts_of(planned, target(login=login)) == {"site": ["urn:a"], "urn": ["b"]}
    assert certificate_names(planned, login_rule(target(login=login))) == {"urn:a", "urn:b"}


@pytest.mark.parametrize("login", ["subject_alternative_name", "distinguished_name"])
def test_what_rabbitmq_itself_cannot_do_is_warned_of(login: str) -> None:
    one = identity("a", other_name=("1.2.3=dev1",), dns=("d",), ip=("49.50.51.52",))
    settings = {"from": "subject_alternative_name", "san_type": "other_name"}
    other = predict_logins(clients((one, "1")), target(login=login, client_id_from=settings))
    assert any("OTP 29" in str(problem) for problem in other.problems)
    address = {"from": "subject_alternative_name", "san_type": "ip"}
    raw = predict_logins(clients((one, "1234")), target(login=login, client_id_from=address))
    assert any("raw bytes" in str(problem) for problem in raw.problems)
