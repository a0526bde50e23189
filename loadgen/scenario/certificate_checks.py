"""Checks of certificate steps against identity sets, groups and stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.scenario.explain import Finding
from loadgen.scenario.suggest import did_you_mean
from loadgen.scenario.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.scenario.certificates import CertificateStep
    from loadgen.scenario.document import Place
    from loadgen.scenario.parts import Parts


def check_certificates(parts: Parts) -> Iterator[Finding]:
    """Check that each step has sets that it can change and comes in a stage that exists and lasts so long."""
    for index, step in enumerate(parts.certificates):
        if step is None:
            continue
        place: Place = ("certificates", index)
        yield from _check_moment(parts, step, place)
        yield from _check_sets(parts, step, place)
        if step.kind == "rotate_ca":
            yield from _check_rotation(parts, step, place)
        if step.kind != "reconnect":
            yield from _check_client_ids(parts, step)


def _check_moment(parts: Parts, step: CertificateStep, place: Place) -> Iterator[Finding]:
    stages = {stage.name: stage for stage in parts.stages if stage is not None}
    stage = stages.get(step.at.stage)
    if stage is None:
        if None not in parts.stages:
            what = f'there is no stage "{step.at.stage}"'
            yield Finding((*place, "at"), what, did_you_mean(step.at.stage, stages))
    elif stage.hold is not None and step.at.offset >= stage.hold:
        what = f'{step.at} is after the end of "{stage.name}", which lasts {format_duration(stage.hold)}'
        yield Finding((*place, "at"), what, "write an earlier moment, or make the stage longer")


def _check_sets(parts: Parts, step: CertificateStep, place: Place) -> Iterator[Finding]:
    used = {group.identity for group in parts.groups.values() if group is not None}
    for name in step.sets:
        where = (*place, step.kind)
        if name not in parts.identities:
            mend = did_you_mean(name, parts.identities) or "add it to identities"
            yield Finding(where, f'there is no identity set "{name}"', mend)
            continue
        if name not in used and None not in parts.groups.values():
            yield Finding(where, f'no group has certificates of "{name}"', did_you_mean(name, used))
        identity_set = parts.identities[name]
        issued = identity_set is None or identity_set.issue is not None
        if not issued and step.kind == "rotate_ca":
            what = f'loadgen has no CA for "{name}", whose certificates it did not issue'
            yield Finding(where, what, "write renew: with to: a set of the new CA")
        elif not issued and step.kind == "renew" and step.to is None:
            what = f'loadgen did not issue the certificates of "{name}" and cannot renew them'
            mend = "name a set that holds the new ones with to:, or replace the files and write reconnect:"
            yield Finding(where, what, mend)
    if step.to is not None and step.to not in parts.identities:
        mend = did_you_mean(step.to, parts.identities) or "add it to identities"
        yield Finding((*place, "to"), f'there is no identity set "{step.to}"', mend)


def _check_rotation(parts: Parts, step: CertificateStep, place: Place) -> Iterator[Finding]:
    """A CA that is trusted no more must leave no client behind."""
    folders = {name: one.issue.out for name, one in parts.identities.items() if one is not None and one.issue}
    ours = {folders[name] for name in step.sets if name in folders}
    if len(ours) > 1:
        what = f"these sets have different CAs, in {' and '.join(sorted(ours))}"
        yield Finding((*place, "rotate_ca"), what, "write a step for each")
    for group in parts.groups.values():
        if group is not None and group.identity not in step.sets and folders.get(group.identity) in ours:
            what = f'"{group.identity}" has certificates of the same CA and would be locked out'
            yield Finding((*place, "rotate_ca"), what, "name it, too")
            return


def _check_client_ids(parts: Parts, step: CertificateStep) -> Iterator[Finding]:
    for name, group in parts.groups.items():
        if group is not None and group.identity in step.sets and "serial" in group.client_id.fields:
            what = "a renewed certificate has another serial number, and the client keeps its client id"
            yield Finding(("groups", name, "client_id"), what, "use another field", warning=True)
