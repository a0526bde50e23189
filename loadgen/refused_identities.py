"""Certificates that the brokers are to refuse: what is wrong with them is what they are there for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadgen.identity.identity import Identity
    from loadgen.scenario.model import Scenario


def identities_to_check(
    scenario: Scenario, identities: Mapping[str, Sequence[Identity]]
) -> Iterator[Identity]:
    """Give all identities, those that only refused groups use as outside their validity on purpose.

    Files that are missing, or a key that is another certificate's, stay errors: such a client could not even
    begin its handshake.
    """
    wanted = {group.identity for group in scenario.groups.values() if not group.refused}
    refused = {group.identity for group in scenario.groups.values() if group.refused} - wanted
    for name, members in identities.items():
        for identity in members:
            yield replace(identity, invalid_on_purpose=True) if name in refused else identity
