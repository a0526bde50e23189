"""What the brokers will make of each client: users, virtual hosts, client ids, and who will be refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.errors import Problem
from loadgen.identity.alternative_names import OTHER_NAME
from loadgen.identity.login import (
    CLIENT_ID_NOT_VALID,
    SAN,
    LoginRule,
    Prediction,
    Source,
    predict,
    split_vhost,
    user_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadgen.plan.plan import ClientPlan
    from loadgen.scenario.target import Target


@dataclass(slots=True)
class _Kind:
    """One way of being refused or surprised; the first client of it, and how many."""

    first: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Logins:
    """The predictions of a plan, added up."""

    rule: LoginRule
    users: int
    """Different users."""
    vhosts: dict[str, int]
    """Virtual host → clients, of those that will not be refused."""
    accepted: int
    """Clients that nothing in certificate or client id makes the broker refuse."""
    refusals: dict[str, int]
    """Why → how many clients."""
    unchecked_ids: int
    """Clients whose certificate lacks the name that the client id should equal: any id is accepted."""
    problems: tuple[Problem, ...]
    """Warnings, one for each kind."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `loadgen plan`."""
        return {
            "user_from": str(self.rule.user),
            "client_id_from": str(self.rule.client_id) if self.rule.client_id is not None else None,
            "users": self.users,
            "vhosts": self.vhosts,
            "accepted": self.accepted,
            "refused": self.refusals,
            "unchecked_client_ids": self.unchecked_ids,
        }


def login_rule(target: Target) -> LoginRule:
    """The brokers' settings as the target tells them."""
    login, client_id = target.login, target.client_id_from
    return LoginRule(
        Source(login.from_, login.san_type, login.san_index),
        None if client_id is None else Source(client_id.from_, client_id.san_type, client_id.san_index),
        login.vhost,
        login.ignore_colons,
        dict(login.default_vhosts),
    )


def prediction(client: ClientPlan, rule: LoginRule) -> Prediction:
    """What the brokers will make of a client; a user name and password count more than the certificate."""
    found = predict(client.identity, client.client_id, rule)
    if client.username is None or found.code == CLIENT_ID_NOT_VALID:
        return found
    vhost, user = split_vhost(client.username, rule)
    return Prediction(user, vhost, found.required_client_id)


def certificate_names(clients: Iterable[ClientPlan], rule: LoginRule) -> set[str]:
    """The whole names that the brokers find in the clients' certificates, before a colon parts any."""
    whole = LoginRule(rule.user, ignore_colons=True)
    return {name for client in clients if (name := user_name(client.identity, whole))}


def accounts_of(clients: Iterable[ClientPlan], target: Target) -> dict[str, list[str]]:
    """Virtual host → the users that the brokers must know there, sorted; who has none is left out."""
    rule = login_rule(target)
    accounts: dict[str, set[str]] = {}
    for client in clients:
        found = prediction(client, rule)
        if found.user and found.vhost is not None:
            accounts.setdefault(found.vhost, set()).add(found.user)
    return {vhost: sorted(users) for vhost, users in sorted(accounts.items())}


def predict_logins(clients: Sequence[ClientPlan], target: Target) -> Logins:
    """Predict what the brokers will make of every client, given that they trust the certificates.

    The users' existence and rights are not known here: `provision` makes them, and a run asks for them.
    """
    rule = login_rule(target)
    users: set[str] = set()
    vhosts: Counter[str] = Counter()
    refusals: dict[str, _Kind] = {}
    colons: dict[str, _Kind] = {}
    unchecked = 0
    for client in clients:
        found = prediction(client, rule)
        if found.user is not None:
            users.add(found.user)
        if not found.accepted:
            code = f", 0x{found.code:02X}" if found.code is not None else ""
            refusals.setdefault(f"{found.refusal}{code}", _Kind(client.client_id)).count += 1
            continue
        assert found.user is not None
        assert found.vhost is not None
        vhosts[found.vhost] += 1
        if found.vhost != rule.vhost:
            what = f"RabbitMQ reads {found.vhost + ':' + found.user!r} as virtual host and user"
            colons.setdefault("", _Kind(what)).count += 1
        if rule.client_id is not None and found.required_client_id is None:
            unchecked += 1
    return Logins(
        rule,
        len(users),
        dict(vhosts),
        sum(vhosts.values()),
        {why: kind.count for why, kind in refusals.items()},
        unchecked,
        tuple(_problems(rule, refusals, colons, unchecked)),
    )


def _problems(
    rule: LoginRule, refusals: dict[str, _Kind], colons: dict[str, _Kind], unchecked: int
) -> Iterable[Problem]:
    for why, kind in refusals.items():
        mend = "see login and client_id_from of the target, the certificates, and client_id of the group"
        what = f"the broker will refuse client {kind.first!r}{_more(kind)}: {why}"
        yield Problem("", what, mend, warning=True)
    for kind in colons.values():
        what = f"{kind.first}, split at the last colon{_more(kind)}"
        yield Problem(
            "", what, "use names without a colon, or give the users rights in that vhost", warning=True
        )
    if unchecked:
        assert rule.client_id is not None
        what = (
            f"{unchecked} certificates have no {rule.client_id}: the broker accepts any client id with them"
        )
        yield Problem("", what, "add the name, if client ids are to be verified", warning=True)
    kinds = {source.san_type for source in (rule.user, rule.client_id) if source and source.name == SAN}
    if "ip" in kinds:
        what = "RabbitMQ takes the raw bytes of an IP address for user name or client id"
        yield Problem("", what, "use another san_type", warning=True)
    if OTHER_NAME in kinds:
        what = (
            "RabbitMQ 4.3.6 with Erlang/OTP 29 closes connections over other names (4.0 with OTP 27 does not)"
        )
        yield Problem("", what, "try it with one client first, or use another san_type", warning=True)


def _more(kind: _Kind) -> str:
    return f" and {kind.count - 1} more" if kind.count > 1 else ""
