"""What is said of faults that are fine in themselves and do not fit the rest of the scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenario.conftest import Complain


def kill(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML
    return {"at": "steady+30s", "kill": "one", "heal_after": "5s", **changes}


EVERY = {"times": 3, "every": "10s"}


WARNED = "warning: s.yaml"


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (
            [kill(at="stedy+3s")],
            (
                "s.yaml:38: faults.0.at",
                'there is no stage "stedy"',
                'did you mean "steady"?',
            ),
        ),
        (
            [kill(name="a"), {"at": "steady+10s", "reset": "all", "name": "a"}],
            (
                "s.yaml:44: faults.1.name",
                'another fault is named "a"',
                "use another name",
            ),
        ),
        (
            [kill(at="steady+1m")],
            (
                "s.yaml:38: faults.0.at",
                'steady+1m is not before the end of "steady", which takes 1m',
                "write less than steady+1m",
            ),
        ),
        (
            [kill(at="connect+5m")],
            (
                "s.yaml:38: faults.0.at",
                'connect+5m is not before the end of "connect", which takes 5m',
                "write less than connect+5m",
            ),
        ),
        (
            [kill(at="steady+45s", repeat=EVERY)],
            (
                "s.yaml:38: faults.0.at",
                'the last time, steady+65s, is not before the end of "steady", which takes 1m',
                "repeat less often, or write less than steady+1m",
            ),
        ),
        (
            [{"at": "steady+5s", "kill": "one", "repeat": EVERY}],
            (
                "s.yaml:40: faults.0.repeat",
                "is repeated every 10s and not healed in between",
                "add for example heal_after: 20s",
            ),
        ),
        (
            [kill(heal_after="10s", at="steady+5s", repeat=EVERY)],
            (
                "s.yaml:41: faults.0.repeat",
                "is repeated every 10s, and each time is healed only after 10s",
                "write every: more than 10s",
            ),
        ),
        (
            [{"at": "drain+1s", "kill": "one"}],
            (
                "s.yaml:38: faults.0",
                '"drain" drains, and faults without heal_after are healed when the drain begins',
                "add heal_after: 5s, or heal_after: end",
            ),
        ),
        (
            [{"at": "drain+1s", "reset": "one"}],
            (
                f"{WARNED}:38: faults.0.at",
                '"drain" ends once everything has arrived, perhaps before the fault',
                "use a stage that holds",
            ),
        ),
        (
            [kill(at="connect")],
            (
                f"{WARNED}:38: faults.0.at",
                "nobody is connected yet when this stage begins",
                "write for example connect+5s",
            ),
        ),
        (
            [kill(at="connect+1s")],
            (
                f"{WARNED}:38: faults.0.at",
                '"connect" connects 12 clients in 0.1s and then ends: the fault would not be reached',
                "write an earlier moment, or one in a stage that holds",
            ),
        ),
        (
            [kill(at="steady+2s")],
            (
                f"{WARNED}:38: faults.0.at",
                "there is only 2s of load before it, too little to tell what the fault changed",
                "write for example steady+10s",
            ),
        ),
        (
            [kill(at="steady+50s", heal_after="21s")],
            (
                f"{WARNED}:40: faults.0.heal_after",
                "the run is over 20s after the fault, so it is healed then and not after 21s",
                "write an earlier moment",
            ),
        ),
    ],
)
def test_what_is_said(
    base: dict[str, Any],
    complain: Complain,
    faults: list[Any],
    told: tuple[str, str, str],
) -> None:
    base["faults"] = faults
    place, what, mend = told
    assert f"{place}: {what} ({mend})" in complain(base)


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [kill()],
        [kill(at="steady+50s", heal_after="20s")],
        [kill(at="steady+3s", heal_after="9s", repeat=EVERY)],
        [kill(), kill(at="steady+50s"), kill(at="steady+55s")],
        [{"at": "steady+5s", "run": "true", "repeat": EVERY}],
        [{"at": "drain", "reset": "all"}],
        [{"at": "steady+5s", "rolling-restart": "all", "between": "1s", "maintenance": True}],
    ],
)
def test_what_is_fine(base: dict[str, Any], complain: Complain, faults: list[Any]) -> None:
    base["faults"] = faults
    assert complain(base) == []


def test_load_of_earlier_stages_counts_as_load_before(base: dict[str, Any], complain: Complain) -> None:
    base["stages"][1:1] = [{"name": "warm", "hold": "2s", "record": False}]
    base["faults"] = [kill(at="steady+1s")]
    assert complain(base) == []


def test_a_fault_while_late_clients_connect(base: dict[str, Any], complain: Complain) -> None:
    base["stages"][0]["groups"] = ["dashboards"]
    base["stages"][2:2] = [{"name": "late", "connect": "1/s"}, {"name": "more", "hold": "10s"}]
    base["faults"] = [kill(at="late"), kill(at="late+5s")]
    assert complain(base) == []


def test_the_embedded_broker_has_no_nodes_to_disturb(base: dict[str, Any], complain: Complain) -> None:
    base["target"] = {"kind": "embedded"}
    base["faults"] = [kill(), {"at": "steady+9s", "run": "true"}, {"at": "steady+9s", "reset": "all"}]
    killed, reset = complain(base)
    assert "faults.0.kill: the embedded broker is part of the run and has no nodes to kill" in killed
    assert "--target" in killed
    assert "faults.2.reset" in reset


def test_a_wrong_fault_is_told_beside_other_problems(base: dict[str, Any], complain: Complain) -> None:
    base["faults"] = [kill(delay="5s"), kill(at="nowhere"), kill(kill="one", at="steady+3s", heal_aftr="5s")]
    base["groups"]["sensors"]["identity"] = "nobody"
    base["thresholds"] = {"publish_latency{during: kill}": ["p99 < 5s"]}
    lines = complain(base)
    assert [line.split(": ")[1] for line in lines] == [
        "groups.sensors.identity",
        "faults.0",
        "faults.1.at",
        "faults.2.heal_aftr",
    ]
    assert 'did you mean "heal_after"?' in lines[-1]


def test_keys_with_a_hyphen_are_suggested(base: dict[str, Any], complain: Complain) -> None:
    base["faults"] = [{"at": "steady+9s", "rolling_restart": "all"}]
    assert any('did you mean "rolling-restart"?' in line for line in complain(base))


def test_faults_are_changed_by_set_and_kept_as_run(base: dict[str, Any], tmp_path: Path) -> None:
    base["faults"] = [kill(), {"at": "steady+9s", "rolling-restart": ["a", "b"]}]
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(base), encoding="utf-8")
    scenario = load_scenario(path, overrides=["faults.0.heal_after=7s"])
    assert [fault.name for fault in scenario.faults] == ["kill", "rolling-restart"]
    assert scenario.faults[0].heal_after == 7_000_000_000
    again = tmp_path / "again.yaml"
    again.write_text(scenario.to_yaml(), encoding="utf-8")
    assert load_scenario(again) == scenario


@pytest.mark.parametrize(
    ("selector", "what"),
    [
        ("during: kill", ""),
        ("group: sensors, after: kill", ""),
        ("during: kill#2", ""),
        ("during: kill#9", 'there is no fault "kill#9"'),
        ("during: kil", 'did you mean "kill"?'),
        ("during: kill, after: kill", "selects by during and after"),
        ("stage: steady, during: kill", "selects by stage and during"),
        ("node: 127.0.0.1:8883, during: kill", ""),
        ("node: 127.0.0.1:8884", 'did you mean "127.0.0.1:8883"'),
        ("node: rabbit1", "known: 127.0.0.1:8883"),
    ],
)
def test_thresholds_on_windows(base: dict[str, Any], complain: Complain, selector: str, what: str) -> None:
    base["faults"] = [kill(at="steady+5s", repeat=EVERY)]
    base["thresholds"] = {f"publish_latency{{{selector}}}": ["p99 < 8s"]}
    lines = complain(base)
    assert len(lines) == bool(what)
    assert what in "".join(lines)


def test_a_window_of_no_fault(base: dict[str, Any], complain: Complain) -> None:
    base["thresholds"] = {"publish_latency{during: kill}": ["p99 < 8s"]}
    (line,) = complain(base)
    assert line.endswith('there is no fault "kill" (add a fault of that name)')
