from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from loadgen.metrics.drift import DRIFT_UNITS
from loadgen.metrics.trend import FEWEST_POINTS
from loadgen.scenario.drift import Drift, DriftLimits
from loadgen.scenario.drift_checks import FEWEST_SAMPLES
from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenario.conftest import Complain

MANAGEMENT = {"uris": ["http://127.0.0.1:15672"], "username": "u", "password": {"env": "P"}}


@pytest.fixture
def long(base: dict[str, Any]) -> dict[str, Any]:
    base["target"]["management"] = MANAGEMENT
    base["stages"][1]["hold"] = "4h"
    return base


def limits(**values: object) -> DriftLimits:
    return DriftLimits.model_validate(values)


@pytest.mark.parametrize(
    ("metric", "text", "per_hour", "relative"),
    [
        ("delivery_latency_p99", "5%/h", 0.05, True),
        ("delivery_latency_p99", "2ms/h", 0.002, False),
        ("publish_latency_p99", "1us / m", 60e-6, False),
        ("broker_memory", "50MB/h", 50e6, False),
        ("generator_memory", "24MiB/d", 1 << 20, False),
        ("generator_memory", "0%/h", 0.0, True),
        ("queue_depth", "1000/h", 1000.0, False),
        ("connected_clients", "0.5/s", 1800.0, False),
    ],
)
def test_limits_are_amounts_or_shares_for_a_time(
    metric: str, text: str, per_hour: float, *, relative: bool
) -> None:
    (limit,) = limits(**{metric: text}).set.values()
    assert limit.per_hour == pytest.approx(per_hour)
    assert (limit.relative, limit.text) == (relative, text)
    assert limits(**{metric: text}).model_dump(exclude_none=True) == {metric: text}


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("delivery_latency_p99", "5%"),
        ("delivery_latency_p99", "5MB/h"),
        ("broker_memory", "50/h"),
        ("broker_memory", "2ms/h"),
        ("queue_depth", "50MB/h"),
        ("queue_depth", 5),
        ("queue_depth", "-5/h"),
        ("memory", "5%/h"),
    ],
)
def test_other_limits_are_refused(metric: str, text: object) -> None:
    with pytest.raises(ValidationError):
        limits(**{metric: text})


def test_the_names_are_those_that_are_measured() -> None:
    assert list(DriftLimits.model_fields) == list(DRIFT_UNITS)
    assert FEWEST_SAMPLES == FEWEST_POINTS


def test_a_wrong_limit_is_told_with_line_and_mend(long: dict[str, Any], complain: Complain) -> None:
    long["drift"] = {"limits": {"broker_memory": "50MB"}}
    (line,) = complain(long)
    assert line.startswith("s.yaml:")
    assert line.endswith(
        'drift.limits.broker_memory: "50MB" says not what may be gained in which time '
        "(write for example 5%/h or 50MB/h)"
    )
    long["drift"] = {"limits": {"queue_dept": "5/h"}}
    (line,) = complain(long)
    assert "queue_depth" in line


def test_a_whole_section_is_taken_and_written_back(long: dict[str, Any], tmp_path: Path) -> None:
    long["drift"] = {
        "stage": "steady",
        "ignore_first": "10m",
        "limits": {"delivery_latency_p99": "5%/h", "queue_depth": "100/h"},
    }
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(long), encoding="utf-8")
    scenario = load_scenario(path)
    assert not scenario.warnings
    path.write_text(scenario.to_yaml(), encoding="utf-8")
    assert load_scenario(path).drift == scenario.drift == Drift.model_validate(long["drift"])


def test_the_stage_must_be_there_and_steady(long: dict[str, Any], complain: Complain) -> None:
    long["drift"] = {"stage": "stedy", "limits": {"generator_memory": "2%/h"}}
    (line,) = complain(long)
    assert 'drift.stage: there is no stage "stedy" (did you mean "steady"?)' in line
    long["drift"]["stage"] = "steady"
    for more in ({"load": "10%..100%"}, {"record": False}):
        stage = {"name": "steady", "hold": "4h", **more}
        (line,) = complain({**long, "stages": [long["stages"][0], stage, long["stages"][2]]})
        assert "drift.stage" in line
        assert "no stage of steady load" in line
    long["drift"].pop("stage")
    (line,) = complain({**long, "stages": [long["stages"][0], stage, long["stages"][2]]})
    assert "no stage holds a constant load" in line


def test_what_is_left_must_do_for_a_verdict(long: dict[str, Any], complain: Complain) -> None:
    long["drift"] = {"ignore_first": "4h", "limits": {"generator_memory": "2%/h"}}
    assert "nothing is left of stage" in complain(long)[0]
    long["drift"]["ignore_first"] = "3h"
    long["stages"][1]["hold"] = "10819s"
    (line,) = complain(long)
    assert line.startswith("warning: ")
    assert "19s of stage" in line
    assert "at least 20 samples, 20s" in line
    long["drift"]["limits"]["queue_depth"] = "5/h"
    (line,) = complain(long)
    assert "at least 20 samples, 100s" in line
    long["stages"][1]["hold"] = "3h"
    long["drift"]["ignore_first"] = "1h"
    assert complain(long) == []


def test_somebody_must_tell_what_is_judged(long: dict[str, Any], complain: Complain) -> None:
    long["drift"] = {"limits": {"broker_memory": "5%/h", "queue_depth": "5/h"}}
    assert complain(long) == []
    long["target"]["management"] = MANAGEMENT | {"sample_every": "0s"}
    assert [line.partition(": ")[2] for line in complain(long)] == [
        f"drift.limits.{name}: nobody asks for it: target.management.sample_every is 0s "
        "(write sample_every: 5s)"
        for name in ("broker_memory", "queue_depth")
    ]
    del long["target"]["management"]
    assert all("has no management API (add target.management)" in line for line in complain(long))
    long["target"] = {"kind": "embedded"}
    (line,) = complain(long)
    assert "drift.limits.queue_depth: the embedded broker does not tell" in line
