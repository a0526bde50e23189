# ruff: noqa: E501, ISC004  # messages are quoted as they are shown
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.errors import ConfigError
from loadgen.scenario.load import load_scenario
from loadgen.scenario.model import Scenario

if TYPE_CHECKING:
    from pathlib import Path

WRONG = """\
name: wrong
sead: 3
target:
  uris: [mqtt://127.0.0.1]
  timeouts: {tcp: 10}
identities:
  devices: {issue: {count: 10, common_name: "APM{indx}"}}
groups:
  sensors:
    clients: "20"
    identity: device
    clientid: "{cn}"
    publish: {topic: a/+, qos: 2, rate: 5}
    subscribe: [{filter: $share/g/a, qos: 1}]
    keep_alive: 1m
    keep_alive: 2m
stages:
  - {name: steady, hold: 10}
thresholds:
  publish_latncy: [p99 < 250ms]
generator: []
"""


def write(path: Path, data: Any) -> Path:  # noqa: ANN401
    path.write_text(
        data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False), encoding="utf-8"
    )
    return path


def test_all_problems_at_once_each_with_its_line(complain: Any) -> None:  # noqa: ANN401
    lines = complain(WRONG, "groups.sensors.receive_maximum=0", "generator.x")
    assert [line.split(" (")[0] for line in lines] == [
        's.yaml:2: sead: unknown key "sead"',
        's.yaml:4: target.uris.0: "mqtt://127.0.0.1" is MQTT without TLS, and loadgen connects with mutual TLS only',
        "s.yaml:5: target.timeouts.tcp: a duration needs a unit, and 10 has none",
        's.yaml:7: identities.devices.issue.common_name: "APM{indx}" uses the unknown field {indx}',
        's.yaml:10: groups.sensors.clients: must be a whole number, not "20"',
        's.yaml:11: groups.sensors.identity: there is no identity set "device"',
        's.yaml:12: groups.sensors.clientid: unknown key "clientid"',
        "s.yaml:13: groups.sensors.publish.qos: QoS 2 cannot be tested: RabbitMQ has none and answers a PUBLISH of "
        "it with DISCONNECT 0x9B",
        "s.yaml:13: groups.sensors.publish.rate: a rate needs a unit, and 5 has none",
        's.yaml:13: groups.sensors.publish.topic: "a/+" has a wildcard, and one cannot publish to it',
        "s.yaml:14: groups.sensors.subscribe.0.filter: RabbitMQ has no shared subscriptions: it would accept this "
        "filter and never deliver",
        's.yaml:16: groups.sensors.keep_alive: the key "keep_alive" is here twice, first on line 15',
        "s.yaml:18: stages.0.hold: a duration needs a unit, and 10 has none",
        's.yaml:18: stages.0: the first stage must connect, and "steady" is a hold',
        's.yaml:20: thresholds.publish_latncy: unknown metric "publish_latncy"',
        "s.yaml:21: generator: must be a mapping, not a list",
        "--set generator.x: is not KEY=VALUE",
        "--set groups.sensors.receive_maximum: must be at least 1, not 0",
    ]
    assert all(line.endswith(")") for line in lines), "each has a mend"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ("name: 7", ['s.yaml:1: name: must be text, not 7 (put it in quotes: "7")']),
        ("name:", ["s.yaml:1: name: must be text, not nothing (write text)"]),
        ("name: {cn}", ['s.yaml:1: name: a text that begins with { needs quotes (write "{cn}")']),
        ("name: ../x", ['s.yaml:1: name: "../x" is not a name (use at most 64 letters, digits, - and _, and '
                        "begin with a letter or digit)"]),
        ("name: x\nseed: -1", ["s.yaml:2: seed: must be at least 0, not -1 (write a number in the range)"]),
        ("name: x\nplugins: []", ['s.yaml:2: plugins: unknown key "plugins" (known here: name, description, seed, '
                                 "target, identities, groups, stages, faults, certificates, thresholds, drift, "
                                "generator)"]),
        ("description: x", ['s.yaml:1: "name" is missing (add name: short name; it becomes part of the run\'s '
                            "folder)"]),
    ],
)  # fmt: skip
def test_wrong_values(base: dict[str, Any], complain: Any, change: str, lines: list[str]) -> None:  # noqa: ANN401
    del base["name"]
    assert complain(f"{change}\n{yaml.safe_dump(base)}") == lines


def test_wrong_choice_suggests(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["target"]["spread"] = "roundrobin"
    (line,) = complain(base)
    assert line.endswith(
        'must be "round-robin", "random" or "in-order", not "roundrobin" (did you mean "round-robin"?)'
    )


def test_a_wrong_client_id_is_told_once(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["groups"]["dashboards"]["client_id"] = "{cm}"
    (line,) = complain(base)
    assert "unknown field {cm}" in line


def test_defaults_and_source(base: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", base)
    scenario = load_scenario(path)
    assert scenario.source == path
    assert scenario.warnings == ()
    assert list(scenario.groups) == ["sensors", "dashboards"]
    assert scenario.parsed_thresholds()[0].value == 0.25


def test_a_drain_is_added_where_messages_are_delivered(base: dict[str, Any], tmp_path: Path) -> None:
    del base["stages"][2]
    scenario = load_scenario(write(tmp_path / "s.yaml", base))
    assert [stage.kind for stage in scenario.stages] == ["connect", "hold", "drain"]
    assert scenario.stages[-1].drain == 10_000_000_000
    base["stages"][1]["name"] = "drain"
    assert load_scenario(write(tmp_path / "s.yaml", base)).stages[-1].name == "final-drain"
    del base["groups"]["dashboards"]
    assert len(load_scenario(write(tmp_path / "s.yaml", base)).stages) == 2


def test_as_run_loads_again_as_equal(base: dict[str, Any], tmp_path: Path) -> None:
    del base["stages"][2]
    base["target"]["management"] = {
        "uris": ["https://h:15671"],
        "username": "u",
        "password": {"file": "secret"},
    }
    base["groups"]["sensors"]["user_properties"] = [["a", "1"], ["a", "{cn}"]]
    base["groups"]["sensors"]["publish"]["rate"] = "7/h"
    base["stages"][1]["load"] = "33%..150%"
    base["thresholds"]["publish_latency{group: sensors}"] = ["p99.9 < 1s"]
    scenario = load_scenario(write(tmp_path / "s.yaml", base))
    text = scenario.to_yaml()
    again = load_scenario(write(tmp_path / "again.yaml", text))
    assert again == scenario
    assert again.to_yaml() == text
    assert "file: secret" in text
    assert load_scenario(tmp_path / "s.yaml", overrides=["seed=2"]) != scenario


def test_target_from_another_file(base: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", base)
    target = write(tmp_path / "t.yaml", "uris: [mqtts://elsewhere]\n")
    assert load_scenario(path, target=target).target.uris[0].host == "elsewhere"
    wrapped = write(tmp_path / "w.yaml", "target:\n  uris: [mqtts://elsewhere]\n")
    assert load_scenario(path, target=wrapped).target.uris[0].host == "elsewhere"
    changed = load_scenario(path, target=target, overrides=["target.spread=random"])
    assert changed.target.spread == "random"


def test_problems_of_the_target_name_its_file(base: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", base)
    target = write(tmp_path / "t.yaml", "# nodes\nuri: [mqtts://elsewhere]\n")
    with pytest.raises(ConfigError) as caught:
        load_scenario(path, target=target)
    assert str(caught.value.problems[0]) == (
        f'{target}:2: target.uri: unknown key "uri" (did you mean "uris"?)'
    )
    with pytest.raises(ConfigError, match=r"target file .* does not exist"):
        load_scenario(path, target=tmp_path / "none.yaml")


def test_embedded_target(base: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", base)
    assert load_scenario(path, embedded=True).target.kind == "embedded"
    with pytest.raises(ConfigError, match="choose one"):
        load_scenario(path, embedded=True, target=path)


def test_overrides_reach_the_model_in_order(base: dict[str, Any], tmp_path: Path) -> None:
    scenario = load_scenario(
        write(tmp_path / "s.yaml", base),
        overrides=["groups.sensors.clients=5", "groups.sensors.clients=6", "stages.steady.hold=2s"],
    )
    assert scenario.groups["sensors"].clients == 6
    assert scenario.stages[1].hold == 2_000_000_000


def test_nothing_escapes_as_another_exception(base: dict[str, Any], tmp_path: Path) -> None:
    """Each value of a valid file replaced by things of every type is either taken or refused in words."""
    junk: list[object] = [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x",
        "{",
        [],
        [None],
        {},
        {"a": None},
        [[]],
        "\0",
        "2/s",
    ]
    places: list[tuple[str | int, ...]] = []

    def walk(value: object, place: tuple[str | int, ...]) -> None:
        places.append(place)
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, inner in items:
            walk(inner, (*place, key))

    walk(base, ())
    text = yaml.safe_dump(base, sort_keys=False)
    refused = taken = 0
    for place in places[1:]:
        for value in junk:
            data = yaml.safe_load(text)
            parent = data
            for step in place[:-1]:
                parent = parent[step]
            parent[place[-1]] = value
            try:
                assert isinstance(load_scenario(write(tmp_path / "s.yaml", data)), Scenario)
            except ConfigError as error:
                refused += not any("\n" in str(problem) for problem in error.problems)
            else:
                taken += 1
    assert refused + taken == (len(places) - 1) * len(junk)
    assert refused > taken > 0
