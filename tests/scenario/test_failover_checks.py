"""Warnings where something late would look lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenario.conftest import Complain

KEPT = {"clean_start": False, "expiry": "10m"}
KILL = {"at": "steady+30s", "kill": "one", "heal_after": "5s"}


@pytest.fixture
def kept(base: dict[str, Any]) -> dict[str, Any]:
    base["groups"]["dashboards"]["session"] = dict(KEPT)
    base["faults"] = [dict(KILL)]
    return base


def test_a_drain_that_is_over_before_rabbitmq_delivers_again(
    kept: dict[str, Any], complain: Complain
) -> None:
    (line,) = complain(kept)
    assert line.startswith("warning: s.yaml:")
    assert "stages.2.drain: RabbitMQ 4.3 delivers again" in line
    assert "this waits 10s (write drain: 70s; it ends as soon as everything has arrived)" in line
    kept["stages"][2]["drain"] = "65s"
    assert complain(kept) == []


@pytest.mark.parametrize("kind", ["drain", "reset"])
def test_faults_that_lose_no_node_need_no_long_drain(
    kept: dict[str, Any], complain: Complain, kind: str
) -> None:
    kept["faults"] = [{"at": "steady+30s", kind: "one"}]
    assert complain(kept) == []


@pytest.mark.parametrize(
    "change", [{"session": {"clean_start": True}}, {"subscribe": {"filter": "site/+/temp", "qos": 0}}]
)
def test_who_is_owed_nothing_needs_no_long_drain(
    kept: dict[str, Any],
    complain: Complain,
    change: dict[str, Any],
) -> None:
    kept["groups"]["dashboards"] |= change
    assert complain(kept) == []


def test_the_drain_that_is_added_is_long_enough(kept: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"

    def added() -> int:
        path.write_text(yaml.safe_dump(kept | {"stages": kept["stages"][:2]}), encoding="utf-8")
        return load_scenario(path).stages[-1].drain or 0

    assert added() == 70_000_000_000
    kept["faults"] = []
    assert added() == 10_000_000_000


def test_an_impatient_connack_timeout(kept: dict[str, Any], complain: Complain) -> None:
    kept["stages"][2]["drain"] = "70s"
    kept["target"]["timeouts"] = {"connack": "10s"}
    (line,) = complain(kept)
    assert (
        "target.timeouts.connack: RabbitMQ answers the CONNECT for a session whose node was lost only" in line
    )
    kept["groups"]["dashboards"]["reconnect"] = {"connack_timeout": "66s"}
    assert complain(kept) == [], "the group has a limit of its own"
    kept["groups"]["dashboards"]["reconnect"] = {"connack_timeout": "5s"}
    (line,) = complain(kept)
    assert "groups.dashboards.reconnect.connack_timeout" in line
    assert "gives up after 5s" in line
    kept["groups"]["dashboards"]["reconnect"] = {"connack_timeout": "5s", "resume": False}
    assert complain(kept) == [], "a clean start is answered at once"


def test_a_node_that_stays_away_keeps_what_it_holds(kept: dict[str, Any], complain: Complain) -> None:
    kept["stages"][2]["drain"] = "70s"
    kept["faults"][0]["heal_after"] = "end"
    (line,) = complain(kept)
    assert 'for the sessions of "dashboards" cannot arrive before the run ends' in line


def test_clients_that_never_reconnect(base: dict[str, Any], complain: Complain) -> None:
    base["groups"]["sensors"]["reconnect"] = {"enabled": False}
    assert complain(base) == []
    base["faults"] = [{"at": "steady+30s", "slow": "one", "delay": "5ms"}]
    assert complain(base) == []
    base["faults"] = [dict(KILL)]
    (line,) = complain(base)
    assert "groups.sensors.reconnect.enabled: clients that a fault cuts off do not come back" in line
