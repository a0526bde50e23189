"""Checks of names: certificates' common names, and client ids over all groups."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from loadgen.scenario.explain import Finding
from loadgen.scenario.groups import NO_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from loadgen.scenario.groups import Group
    from loadgen.scenario.identities import IdentitySet, Issue
    from loadgen.scenario.parts import Parts

MAX_COMMON_NAME = 64
"""Longest common name in characters [RFC 5280, ub-common-name]."""
MAX_STRING = 65_535
"""Longest MQTT string in bytes [MQTT-1.5.4]."""


def known_fields(
    issue: Issue, set_name: str, index: int, only: Container[str] | None = None
) -> dict[str, object]:
    """Give the template fields of the certificate to be issued at an index: all but its serial number.

    Args:
        issue: what is to be issued.
        set_name: name of the identity set.
        index: the certificate's place in it.
        only: leave out all fields but these; a large set has too many to make all of them.
    """
    naming: dict[str, object] = {"index": index, "set": set_name}
    fields: dict[str, object] = {}
    if only is None or "cn" in only:
        fields["cn"] = issue.common_name.render(naming)
    if only is None or "o" in only:
        fields["o"] = "" if issue.organization is None else issue.organization.render(naming)
    for key, template in issue.subject_parts().items():
        if only is None or key in only:
            fields[key] = template.render(naming)
    for kind, templates in issue.san.by_type().items():
        for position, template in enumerate(templates):
            short, long = f"san.{kind}", f"san.{kind}.{position}"
            if only is not None and long not in only and (position or short not in only):
                continue
            name = template.render(naming)
            if kind == "other_name":
                name = name.partition("=")[2]  # as `Identity.template_fields` gives it
            fields.setdefault(short, name)
            fields[long] = name
    return fields


def client_fields(
    name: str,
    group: Group,
    index: int,
    identities: Mapping[str, IdentitySet | None],
    only: Container[str] | None = None,
) -> dict[str, object]:
    """Give the template fields of one client, as far as they are known before certificates are made.

    `only` is that of `known_fields`.
    """
    fields: dict[str, object] = {"index": index, "group": name}
    chosen = identities.get(group.identity)
    if chosen is not None and chosen.issue is not None:
        fields |= known_fields(chosen.issue, group.identity, index % chosen.issue.count, only)
    return fields


def check_common_names(parts: Parts) -> Iterator[Finding]:
    """Check that certificates to be issued have names of their own, fit for a certificate and a broker."""
    issued: dict[tuple[str, str], tuple[str, int]] = {}
    for name, identity_set in parts.identities.items():
        if identity_set is not None and identity_set.issue is not None:
            yield from _check_issue(name, identity_set.issue, issued)


def _check_issue(
    name: str, issue: Issue, issued: dict[tuple[str, str], tuple[str, int]]
) -> Iterator[Finding]:
    place = ("identities", name, "issue", "common_name")
    told: set[str] = set()
    looked_at = {"cn", *(f"san.ip.{position}" for position in range(len(issue.san.ip)))}
    for index in range(issue.count):
        fields = known_fields(issue, name, index, looked_at)
        common_name = str(fields["cn"])
        other, other_index = issued.setdefault((issue.out, common_name), (name, index))
        if (other, other_index) != (name, index) and other not in told:
            told.add(other)
            what, mend = (
                (f'certificates {other_index} and {index} would both be named "{common_name}"', "use {index}")
                if other == name
                else (
                    f'"{common_name}" is issued by the set "{other}" into {issue.out}, too',
                    "use another name, or another out folder",
                )
            )
            yield Finding(place, what, mend)
        if not 0 < len(common_name) <= MAX_COMMON_NAME and "length" not in told:
            told.add("length")
            what = f'"{common_name}" has {len(common_name)} characters and a common name has 1 to 64'
            yield Finding(place, what, "use a shorter name" if common_name else "write a name")
        for position in range(len(issue.san.ip)):
            if "ip" not in told and not _is_address(str(fields[f"san.ip.{position}"])):
                told.add("ip")
                what = f'"{fields[f"san.ip.{position}"]}" is not an IP address'
                yield Finding(("identities", name, "issue", "san", "ip", position), what, "write an address")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_client_ids(parts: Parts) -> Iterator[Finding]:
    """Check that client ids are valid and differ over all groups, as far as they are known now."""
    taken: dict[str, tuple[str, int]] = {}
    for name, group in parts.groups.items():
        if group is not None:
            yield from _check_group(name, group, parts, taken)


def _check_group(
    name: str, group: Group, parts: Parts, taken: dict[str, tuple[str, int]]
) -> Iterator[Finding]:
    place = ("groups", name, "client_id")
    told: set[str] = set()
    wanted = group.client_id.fields
    for index in range(group.clients):
        fields = client_fields(name, group, index, parts.identities, wanted)
        if not group.client_id.fields <= fields.keys():
            missing = sorted(group.client_id.fields - fields.keys())
            chosen = parts.identities.get(group.identity)
            if group.identity == NO_IDENTITY:
                what = f"clients without a certificate have no {{{missing[0]}}}"
                yield Finding(place, what, 'write for example "{group}-{index}"')
            if chosen is not None and chosen.issue is not None and not {"serial", "user"}.issuperset(missing):
                what = f'the certificates of "{group.identity}" have no {{{missing[0]}}}'
                yield Finding(place, what, "add it to the set, or use another field")
            return
        client_id = group.client_id.render(fields)
        length = len(client_id.encode("utf-8", "surrogatepass"))
        if not 0 < length <= MAX_STRING or "\0" in client_id:
            yield Finding(place, f"a client id has 1 to {MAX_STRING} bytes and no NUL", "write another")
            return
        other, other_index = taken.setdefault(client_id, (name, index))
        if (other, other_index) == (name, index) or _takes_over(parts.groups.get(other), group):
            continue
        if other not in told:
            told.add(other)
            yield Finding(place, *_duplicate(client_id, (other, other_index), (name, index), group, parts))


def _takes_over(one: Group | None, other: Group) -> bool:
    """Whether two groups share client ids on purpose, so that one takes the other's connections over."""
    return one is not None and one is not other and (shares_ids(one) or shares_ids(other))


def shares_ids(group: Group) -> bool:
    """Whether the brokers are to disconnect its clients because others come with their ids."""
    return group.expect is not None and group.expect.takeover


def _duplicate(
    client_id: str, first: tuple[str, int], second: tuple[str, int], group: Group, parts: Parts
) -> tuple[str, str]:
    """Say which two clients have the same client id, and what would make them differ."""
    if first[0] != second[0]:
        what = f'client {first[1]} of "{first[0]}" and client {second[1]} of "{second[0]}" have the same id'
        return f'{what} "{client_id}"', f'write another, for example "{second[0]}-{{index}}"'
    what = f'clients {first[1]} and {second[1]} have the same id "{client_id}"'
    chosen = parts.identities.get(group.identity)
    count = chosen.issue.count if chosen is not None and chosen.issue is not None else None
    if count is not None and count < group.clients and "index" not in group.client_id.fields:
        mend = f'"{group.identity}" has {count} certificates for {group.clients} clients: '
        return what, f'{mend}raise its count, or write "{group.client_id.text}-{{index}}"'
    return what, f'write for example "{group.client_id.text}-{{index}}"'
