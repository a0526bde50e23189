"""What of certificate steps cannot work, and which certificates end while a run goes on; before it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.certificates.rotation import local_cluster, trusts
from loadgen.errors import ConfigError, LoadgenError, Problem
from loadgen.identity.authority import Authority
from loadgen.identity.login import predict
from loadgen.plan.logins import login_rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadgen.identity.identity import Identity
    from loadgen.places import Places
    from loadgen.plan.needs import Needs
    from loadgen.plan.plan import Plan
    from loadgen.scenario.certificates import CertificateStep

_SPARE_S = 120.0
"""Seconds that a run may last beyond its holds: for its beginning, its drain and its end."""


def certificate_problems(
    plan: Plan, needs: Needs, identities: Mapping[str, Sequence[Identity]], places: Places
) -> list[Problem]:
    """Find them; only files are looked at.

    Args:
        plan: the plan.
        needs: what it needs: how long it takes.
        identities: set name → its certificates.
        places: where the scenario's parts stand.
    """
    problems = list(_ending(plan, needs, identities, places))
    for index, step in enumerate(plan.scenario.certificates):
        where = places.of("certificates", index)
        if step.kind == "rotate_ca":
            problems += _rotation(plan, step, where)
        elif step.to is not None:
            problems += _replacement(plan, step, identities[step.to], where)
        if step.kind != "reconnect" and step.to is None:
            problems += _authority(plan, step, where)
    return problems


def _ending(
    plan: Plan, needs: Needs, identities: Mapping[str, Sequence[Identity]], places: Places
) -> Iterator[Problem]:
    now = time.time()
    end = now + needs.duration + _SPARE_S
    used = {plan.scenario.groups[client.group].identity for client in plan.clients}
    for name in used & identities.keys():  # not those without any certificate
        soon = [each for each in identities[name] if now < each.not_after < end]
        if soon:
            first = min(each.not_after for each in soon)
            what = (
                f"{len(soon)} of {len(identities[name])} certificates end while the run may still go on, the "
                f"first at {datetime.fromtimestamp(first, UTC):%H:%M:%S}Z: connections stay, and whoever "
                "connects after it is refused"
            )
            mend = "issue longer ones, or renew them with a step of certificates:"
            yield Problem(places.of("identities", name), what, mend, warning=True)


def _authority(plan: Plan, step: CertificateStep, where: str) -> Iterator[Problem]:
    """The CA must be there to sign, key and all."""
    for name in step.sets:
        issue = plan.scenario.identities[name].issue
        assert issue is not None, "checked when the scenario was loaded"
        try:
            Authority.open(Path(issue.out), intermediates=issue.intermediates, password=issue.ca_password)
        except ConfigError as error:
            for each in error.problems:
                yield Problem(where, each.what, each.mend)


def _rotation(plan: Plan, step: CertificateStep, where: str) -> Iterator[Problem]:
    target = plan.scenario.target
    if step.commands is not None:
        return
    if target.kind == "embedded":
        what = "the embedded broker keeps its CA"
        yield Problem(where, what, "use a local cluster: `loadgen cluster up`")
        return
    cluster = local_cluster(target)
    if cluster is None:
        what = "nothing says how to change the CAs that the brokers trust"
        mend = "add commands: {trust_both: COMMAND, trust_new: COMMAND}, or use a local cluster"
        yield Problem(where, what, mend)
        return
    if not cluster.exists:
        yield Problem(where, f"there is no cluster in {cluster.directory}", "`loadgen cluster up`")
        return
    issue = plan.scenario.identities[step.sets[0]].issue
    assert issue is not None
    try:
        authority = Authority.open(
            Path(issue.out), intermediates=issue.intermediates, password=issue.ca_password
        )
        if not trusts(cluster.ca, authority):
            what = f"the cluster in {cluster.directory} does not trust the CA in {issue.out}"
            mend = f"`loadgen cluster up --certs {issue.out}`, or name the cluster's folder as issue.out"
            yield Problem(where, what, mend)
    except ConfigError:
        return  # told as the CA's
    except (LoadgenError, OSError, ValueError) as error:
        yield Problem(where, f"the cluster's CA cannot be read: {error}", "`loadgen cluster up`")


def _replacement(
    plan: Plan, step: CertificateStep, others: Sequence[Identity], where: str
) -> Iterator[Problem]:
    """With certificates of another set the clients should be the same users."""
    rule = login_rule(plan.scenario.target)
    changed = []
    for client in plan.clients:
        if plan.scenario.groups[client.group].identity in step.sets:
            before = predict(client.identity, client.client_id, rule)
            after = predict(others[client.index % len(others)], client.client_id, rule)
            if (before.user, before.vhost, before.accepted) != (after.user, after.vhost, after.accepted):
                changed.append(f"{client.client_id!r} from {before.user!r} to {after.user!r}")
    if changed:
        what = f"{len(changed)} clients become other users with the certificates of {step.to}: {changed[0]}"
        yield Problem(where, what, "use certificates with the same names", warning=True)
