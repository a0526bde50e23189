from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from loadgen.scenario.publishing import Publish, Will

if TYPE_CHECKING:
    from pathlib import Path

PUBLISH: dict[str, Any] = {"topic": "a", "qos": 1, "rate": "1/s"}
LANES = {"count": 4, "choose": "random"}


def test_a_payload_is_a_size_a_file_or_a_text() -> None:
    for written in ("256B", {"file": "content"}, {"template": "{cn}"}):
        made = Publish.model_validate(PUBLISH | {"payload": written})
        assert made.model_dump(mode="json")["payload"] == written
        assert Publish.model_validate(made.model_dump(mode="json", exclude_none=True)) == made
    assert Publish.model_validate(PUBLISH | {"payload": {"size": "1kB"}}).payload.size == 1000


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"payload": {}}, "exactly one of size, file and template"),
        ({"payload": {"size": "64B", "file": "x"}}, "exactly one of size, file and template"),
        ({"payload": "31B"}, "too small for the header"),
        ({"payload": 256}, "a size needs a unit"),
        ({"payload": {"template": "{indx}"}}, "unknown field"),
        ({"lanes": LANES}, "the topic is the same for all lanes"),
        ({"topic": "a/{lane}"}, "there are no lanes"),
        ({"topic": "a/{lane}", "lanes": LANES | {"count": 0}}, "greater than or equal to 1"),
        ({"topic": "a/{lane}", "lanes": {"count": 4}}, "Field required"),
        ({"message_expiry": "1500ms"}, "whole seconds"),
        ({"message_expiry": "60000d"}, "more than MQTT can carry"),
        ({"content_type": ""}, "at least 1 character"),
    ],
)
def test_what_is_refused(more: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Publish.model_validate(PUBLISH | more)


def test_a_lane_takes_a_number_format() -> None:
    made = Publish.model_validate(PUBLISH | {"topic": "a/{lane:03d}", "lanes": LANES})
    assert made.topic.render({"lane": 7}) == "a/007"


def test_a_will_has_no_lanes() -> None:
    with pytest.raises(ValidationError, match="unknown field"):
        Will.model_validate({"topic": "gone/{lane}"})


def test_a_payload_file_must_be_there(base: dict[str, Any], complain: Any, tmp_path: Path) -> None:  # noqa: ANN401
    group = next(name for name, each in base["groups"].items() if each.get("publish"))
    base["groups"][group]["publish"]["payload"] = {"file": str(tmp_path / "gone")}
    (line,) = complain(base)
    assert "payload.file" in line
    assert "is not there" in line


@pytest.mark.parametrize(
    ("will", "what"),
    [
        ({"topic": "a/+"}, "has a wildcard"),
        ({"topic": "a", "qos": 2}, "QoS 2"),
        ({"topic": "a", "retain": True, "delay": "5s"}, "does not retain a will that is delayed"),
        ({"topic": "a", "delay": "5s"}, "ends with the connection"),
    ],
)
def test_wills_that_are_wrong_or_odd(base: dict[str, Any], complain: Any, will: Any, what: str) -> None:  # noqa: ANN401
    group = next(iter(base["groups"]))
    base["groups"][group]["will"] = will
    if "retain" in will:
        base["groups"][group]["session"] = {"expiry": "60s"}
    assert any(what in line for line in complain(base))


def test_what_the_embedded_broker_lacks_is_told_before_the_run(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["target"] = {"kind": "embedded"}
    assert complain(base) == []
    base["groups"]["sensors"]["publish"]["retain"] = True
    base["groups"]["sensors"]["will"] = {"topic": "gone", "retain": True}
    base["groups"]["dashboards"]["subscribe"] |= {"no_local": True, "subscription_identifier": 1}
    lines = complain(base)
    assert len(lines) == 4
    assert all("the embedded broker has no" in line for line in lines)


def test_a_pause_needs_a_lifetime(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["groups"]["sensors"]["pause"] = "5s"
    (line,) = complain(base)
    assert "add lifetime" in line
    base["groups"]["sensors"]["lifetime"] = "30s"
    assert complain(base) == []
