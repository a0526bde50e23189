"""Which nodes a fault's words mean."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.broker.fault_targets import nodes_behind_proxies, resolve_targets
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.broker.control import NodeControl

THREE = ("rabbit1", "rabbit2", "rabbit3")


@dataclass
class Nodes:
    names: tuple[str, ...]

    def node_names(self) -> tuple[str, ...]:
        return self.names

    async def leader(self) -> str:
        return self.names[-1]


@dataclass
class Planned:
    kind: str
    targets: tuple[str, ...]
    name: str = "fault"


def resolve(
    *words: str,
    names: tuple[str, ...] = THREE,
    connected: Mapping[str, int] | None = None,
    chance: int = 0,
) -> tuple[str, ...]:
    control = cast("NodeControl", Nodes(names))
    return asyncio.run(resolve_targets(words, control, connected=connected or {}, chance=chance))


def test_names_come_in_the_order_of_the_nodes() -> None:
    assert resolve("rabbit3", "rabbit1@localhost") == ("rabbit1", "rabbit3")
    addresses = ("10.0.0.1:8883", "10.0.0.2:8883")
    assert resolve("10.0.0.2", names=addresses) == ("10.0.0.2:8883",)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BrokerError, match=r"no node rabbit9 \(its nodes are rabbit1, rabbit2, rabbit3\)"):
        resolve("rabbit9")


def test_the_busiest_has_most_clients_and_chance_decides_between_equals() -> None:
    assert resolve("busiest", connected={"rabbit2": 5, "rabbit3": 4}) == ("rabbit2",)
    equal = {"rabbit1": 5, "rabbit3": 5}
    assert {resolve("busiest", connected=equal, chance=n) for n in range(9)} == {("rabbit1",), ("rabbit3",)}


def test_the_leader_is_asked_for() -> None:
    assert resolve("leader") == ("rabbit3",)


def test_of_two_nodes_there_is_no_minority() -> None:
    with pytest.raises(BrokerError, match="no minority of 2 nodes"):
        resolve("minority", names=THREE[:2])


@given(nodes=st.integers(3, 9), chance=st.integers(0, 2**64 - 1))
def test_minority_and_majority_have_their_sizes_and_chance_reaches_every_node(
    nodes: int, chance: int
) -> None:
    names = tuple(f"n{number}" for number in range(nodes))
    minority = resolve("minority", names=names, chance=chance)
    majority = resolve("majority", names=names, chance=chance)
    assert len(minority) < nodes / 2 < len(majority)
    assert len(minority) + len(majority) <= nodes
    assert resolve("all", names=names, chance=chance) == names
    assert {resolve("one", names=names, chance=n)[0] for n in range(nodes)} == set(names)


def test_only_nodes_that_may_become_slow_get_a_proxy() -> None:
    assert nodes_behind_proxies([Planned("kill", ("rabbit1",))], THREE) == ()
    assert nodes_behind_proxies([Planned("slow", ("rabbit3", "rabbit2"))], THREE) == ("rabbit2", "rabbit3")
    assert nodes_behind_proxies([Planned("slow", ("busiest",))], THREE) == THREE
