from __future__ import annotations

import pytest

from loadgen.errors import ConfigError
from loadgen.scenario.document import Document, parse_document
from loadgen.scenario.overrides import apply_override

TEXT = """\
name: x
groups:
  sensors: {clients: 5}
stages:
  - {name: connect, connect: 5/s}
  - {name: steady, hold: 5s}
thresholds:
  "a{group: sensors}": [p99 < 1s]
"""


def changed(override: str) -> Document:
    document = parse_document(TEXT, "f.yaml")
    apply_override(document, override)
    return document


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("groups.sensors.clients=50", ("groups", "sensors", "clients"), 50),
        ("stages.steady.hold=1s", ("stages", 1, "hold"), "1s"),
        ("stages.0.connect=9/s", ("stages", 0, "connect"), "9/s"),
        ("generator.send_lag=1s", ("generator", "send_lag"), "1s"),
        ("groups.new={clients: 1}", ("groups", "new"), {"clients": 1}),
        ("groups.sensors.client_id={cn}", ("groups", "sensors", "client_id"), "{cn}"),
        ("groups.sensors.client_id={cn}-{index}", ("groups", "sensors", "client_id"), "{cn}-{index}"),
        ("description=a=b", ("description",), "a=b"),
        ("target.management=null", ("target", "management"), None),
        ("thresholds.a{group: sensors}=[p99 < 2s]", ("thresholds", "a{group: sensors}"), ["p99 < 2s"]),
    ],
)
def test_places_and_values(override: str, place: tuple[str | int, ...], value: object) -> None:
    document = changed(override)
    found: object = document.data
    for step in place:
        if isinstance(found, list):
            assert isinstance(step, int)
            found = found[step]
        else:
            assert isinstance(found, dict)
            found = found[step]
    assert found == value
    assert document.origin(place).source == f"--set {override.partition('=')[0]}"
    assert document.origin(("name",)).line == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nothing", "--set nothing: is not KEY=VALUE"),
        ("=5", "--set =5: is not KEY=VALUE"),
        ("groups.sensor.clients=5", 'there is no "sensor" in groups (did you mean "sensors"?)'),
        ("stages.stedy.hold=5s", 'there is no "stedy" in stages (did you mean "steady"?)'),
        ("stages.9.hold=5s", 'there is no "9" in stages'),
        ("groups.sensors.clients.x=5", "groups.sensors.clients is a value and has nothing below it"),
        ("name=[", "not valid YAML"),
    ],
)
def test_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(override)
    assert message in str(caught.value)
    assert str(caught.value).startswith("--set")
    assert "\n" not in str(caught.value)
