"""From a scenario to the users that the brokers must know, and what each may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.broker.provision import Grant, TopicPermissions
from loadgen.broker.rights import Use, pattern
from loadgen.errors import ConfigError
from loadgen.identity.login import predict
from loadgen.identity.prepare import planned_set, prepare_set
from loadgen.plan.logins import login_rule
from loadgen.plan.plan import make_plan
from loadgen.scenario.groups import NO_IDENTITY

if TYPE_CHECKING:
    from loadgen.identity.identity import Identity
    from loadgen.plan.plan import ClientPlan
    from loadgen.scenario.groups import Group
    from loadgen.scenario.model import Scenario


def grants_of(scenario: Scenario, *, topics: bool = False) -> list[Grant]:
    """List the users of a scenario's clients, named by the target's login rule, with narrow permissions.

    Certificates that are to be issued need not exist yet: their names follow from the scenario, unless a
    client id or topic has the serial number in it.

    Args:
        scenario: the checked scenario.
        topics: limit them to the topics that their clients use, too.

    Raises:
        ConfigError: certificates cannot be read, clients cannot be planned, or no certificate gives a user.
    """
    rule = login_rule(scenario.target)
    uses: dict[tuple[str, str], Use] = {}
    wishes: dict[tuple[str, str], str] = {}
    named = False
    for client in make_plan(scenario, _identities(scenario)).clients:
        if client.username is not None:
            named = True  # who has a password is made by whoever gave it
            continue
        found = predict(client.identity, client.client_id, rule)
        if found.user and found.vhost is not None:  # a certificate may name no user
            account, wish = (found.user, found.vhost), scenario.groups[client.group].provision
            _add(uses.setdefault(account, Use()), client, found.user)
            wishes[account] = min(wish, wishes.get(account, wish), key=_WISHES.index)
    if not uses and not named:
        raise ConfigError(
            f"no certificate has a {rule.user}, from which the brokers take the user name",
            "add it to the certificates, or mend login of the target",
        )
    return [
        _grant(account, use, wishes[account], topics=topics)
        for account, use in uses.items()
        if wishes[account] != "no_user"
    ]


_WISHES = ("as_used", "no_topics", "no_permissions", "no_user")
"""What groups may ask `provision` for; where they share a user, the first of these counts."""


def _grant(account: tuple[str, str], use: Use, wish: str, *, topics: bool) -> Grant:
    user, vhost = account
    if wish == "no_permissions":
        return Grant(user, vhost, None)
    if wish == "no_topics":
        return Grant(user, vhost, use.permissions(), TopicPermissions("", ""))
    return Grant(user, vhost, use.permissions(), use.topic_permissions() if topics else None)


def _add(use: Use, client: ClientPlan, user: str) -> None:
    written = [stream.topic for stream in client.streams]
    if client.will is not None:
        written.append(client.will.topic)
        if client.will.delay:
            use.delayed_wills.add(client.client_id)
    use.publishes |= bool(written)
    use.written.update(pattern(topic, client.client_id, user) for topic in written)
    if client.filters:
        use.subscribers.add(client.client_id)
        use.read.update(pattern(each.filter, client.client_id, user) for each in client.filters)


def _identities(scenario: Scenario) -> dict[str, list[Identity]]:
    needed: dict[str, int] = {}
    by_serial: set[str] = set()
    for group in scenario.groups.values():
        if group.identity == NO_IDENTITY:
            continue
        needed[group.identity] = max(group.clients, needed.get(group.identity, 0))
        if _needs_serial(group):
            by_serial.add(group.identity)
    found = {}
    for name, clients in needed.items():
        spec = scenario.identities[name]
        if spec.issue is not None and name not in by_serial:
            found[name] = planned_set(name, spec.issue)
        else:
            found[name] = prepare_set(name, spec, needed=clients)
    return found


def _needs_serial(group: Group) -> bool:
    templates = [group.client_id, *(each.topic for each in group.publish)]
    templates += [each.filter for each in group.subscribe]
    if group.will is not None:
        templates.append(group.will.topic)
    return any("serial" in template.fields for template in templates)
