from __future__ import annotations

from typing import Any

import pytest

CONNECT = {"name": "connect", "connect": "5/s"}
HOLD = {"name": "hold", "hold": "5s"}
DRAIN = {"name": "drain", "drain": "5s"}


def test_unknown_identity_set(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["groups"]["sensors"]["identity"] = "device"
    assert complain(base) == [
        's.yaml:13: groups.sensors.identity: there is no identity set "device" (did you mean "devices"?)'
    ]


@pytest.mark.parametrize(
    ("stages", "what"),
    [
        ([HOLD], 'the first stage must connect, and "hold" is a hold'),
        ([HOLD, CONNECT], "the first stage must connect"),
        ([CONNECT, HOLD, HOLD], 'another stage is named "hold"'),
        ([CONNECT, DRAIN, HOLD], "a drain must be the last stage"),
        ([CONNECT, {**CONNECT, "name": "again"}, HOLD], "no group is left to connect"),
        ([{**CONNECT, "groups": ["sensors"]}, HOLD], "no stage connects this group"),
        ([{**CONNECT, "groups": ["sensor", "sensors", "dashboards"]}, HOLD], 'did you mean "sensors"?'),
        (
            [
                {**CONNECT, "groups": ["sensors"]},
                {**CONNECT, "name": "b", "groups": ["sensors", "dashboards"]},
            ],
            'is connected already by stage "connect"',
        ),
    ],
)
def test_order_of_stages(base: dict[str, Any], complain: Any, stages: list[Any], what: str) -> None:  # noqa: ANN401
    base["stages"] = stages
    assert any(what in line and not line.startswith("warning") for line in complain(base))


def test_groups_may_come_late(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    late = {"name": "late", "connect": "5/s"}
    base["stages"] = [{**CONNECT, "groups": ["dashboards"]}, HOLD, late, {**HOLD, "name": "more"}, DRAIN]
    assert complain(base) == []


def test_publishers_without_a_hold(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["stages"] = [CONNECT]
    (line,) = complain(base)
    assert line.startswith("warning: ")
    assert "nothing will be published" in line


@pytest.mark.parametrize(
    ("thresholds", "what"),
    [
        (
            {"publish_latncy": ["p99 < 1s"]},
            'unknown metric "publish_latncy" (did you mean "publish_latency"?)',
        ),
        ({"publish_latency": []}, "has no expression"),
        ({"publish_latency": ["p99 < 250"]}, "write 250s or 250ms"),
        ({"publish_latency": ["p99 < 10/s"]}, "publish_latency is a duration, not a rate"),
        ({"messages_lost": ["p99 < 1s"]}, "messages_lost is a counter and has no p99"),
        (
            {"publish_latency{group: sensor}": ["p99 < 1s"]},
            'there is no group "sensor" (did you mean "sensors"?)',
        ),
        ({"publish_latency{stage: x}": ["p99 < 1s"]}, 'there is no stage "x"'),
        ({"publish_latency{durin: kill}": ["p99 < 1s"]}, 'cannot select by "durin" (did you mean "during"?)'),
    ],
)
def test_thresholds(base: dict[str, Any], complain: Any, thresholds: dict[str, Any], what: str) -> None:  # noqa: ANN401
    base["thresholds"] = thresholds
    (line,) = complain(base)
    assert what in line


def test_thresholds_that_hold_together(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["thresholds"] = {
        "publish_latency{group: sensors, stage: steady}": ["p99 < 1s", "count > 5", "rate > 1/s"],
        "messages_lost": "count == 0",
    }
    assert complain(base) == []
