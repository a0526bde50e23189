from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.compare.sameness import scenario_differences

if TYPE_CHECKING:
    from collections.abc import Callable

SCENARIO: dict[str, Any] = {
    "name": "x",
    "description": "",
    "seed": 1,
    "target": {
        "kind": "rabbitmq",
        "uris": ["mqtts://a:8883", "mqtts://b:8883"],
        "tls": {"ca": "here.pem", "versions": ["1.3"]},
        "management": {"uris": ["http://a"]},
    },
    "identities": {"d": {"issue": {"count": 5, "common_name": "d{index}", "out": "here"}}},
    "groups": {"g": {"clients": 5, "publish": [{"topic": "t", "rate": "1/s"}]}},
    "stages": [{"name": "c", "connect": "1/s"}, {"name": "s", "hold": "1m", "load": "100%"}],
    "thresholds": {"publish_latency": ["p99 < 1s"]},
    "generator": {"send_lag": "100ms"},
}


def changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
    other = copy.deepcopy(SCENARIO)
    change(other)
    return scenario_differences(SCENARIO, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(description="another"),
        lambda s: s["target"].update(uris=["mqtts://c:1", "mqtts://d:2"]),
        lambda s: s["target"]["tls"].update(ca="there.pem", server_name="x"),
        lambda s: s["target"].pop("management"),
        lambda s: s["target"].update(control={"local": "x"}),
        lambda s: s["identities"]["d"]["issue"].update(out="there"),
        lambda s: s.update(thresholds={}),
        lambda s: s.pop("generator"),
    ],
)
def test_where_it_ran_and_how_it_was_judged_is_no_difference(
    change: Callable[[dict[str, Any]], object],
) -> None:
    assert changed(change) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s.update(seed=2), "seed: 1 / 2"),
        (lambda s: s["target"].update(uris=["mqtts://a:8883"]), "target.nodes: 2 / 1"),
        (lambda s: s["target"]["tls"].update(versions=["1.2"]), "target.tls.versions.0: 1.3 / 1.2"),
        (lambda s: s["groups"]["g"]["publish"][0].update(rate="2/s"), "groups.g.publish.0.rate: 1/s / 2/s"),
        (lambda s: s["stages"][1].update(load="50%"), "stages.s.load: 100% / 50%"),
        (lambda s: s["identities"]["d"]["issue"].update(count=6), "identities.d.issue.count: 5 / 6"),
        (lambda s: s["groups"].update(h={"clients": 1}), "groups.h: nothing / {'clients': 1}"),
        (lambda s: s["groups"]["g"].pop("clients"), "groups.g.clients: 5 / nothing"),
    ],
)
def test_what_is_done_otherwise_is_named(change: Callable[[dict[str, Any]], object], named: str) -> None:
    assert changed(change) == [named]


def test_a_stage_more_is_named() -> None:
    (named,) = changed(lambda s: s["stages"].append({"name": "d", "drain": "1s"}))
    assert named.startswith("stages: ")
