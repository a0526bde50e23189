"""The `certificates:` section: what a step may be, and what is wrong with one, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.errors import ConfigError
from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.scenario.model import Scenario


def load(tmp_path: Path, steps: list[dict[str, Any]], **more: Any) -> Scenario:  # noqa: ANN401 - YAML
    document = {
        "name": "steps",
        "target": {"uris": ["mqtts://127.0.0.1:8883"]},
        "identities": {
            "devices": {"issue": {"count": 2, "common_name": "d{index}"}},
            "boards": {"issue": {"count": 1, "common_name": "b{index}"}},
            "own": {"directory": {"path": "mine"}},
            "elsewhere": {"issue": {"count": 1, "common_name": "e{index}", "out": "certs/other"}},
        },
        "groups": {
            "sensors": {"clients": 2, "identity": "devices"},
            "boards": {"clients": 1, "identity": "boards"},
            "mine": {"clients": 1, "identity": "own", "client_id": "mine"},
        },
        "stages": [{"name": "connect", "connect": "10/s"}, {"name": "steady", "hold": "20s"}],
        "certificates": steps,
        **more,
    }
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_scenario(path)


def test_steps_are_read_and_written_back(tmp_path: Path) -> None:
    commands = {"trust_both": "a", "trust_new": "b"}
    scenario = load(
        tmp_path,
        [
            {"at": "steady+10s", "renew": "devices", "spread": "2s", "valid_for": "6s"},
            {"at": "steady+12s", "reconnect": ["devices", "own"], "expect": "refused"},
            {"at": "steady+13s", "renew": "own", "to": "devices", "keep_connections": True},
            {"at": "steady", "rotate_ca": ["devices", "boards"], "commands": commands},
        ],
    )
    kinds = [(step.kind, step.sets) for step in scenario.certificates]
    assert kinds == [
        ("renew", ("devices",)),
        ("reconnect", ("devices", "own")),
        ("renew", ("own",)),
        ("rotate_ca", ("devices", "boards")),
    ]
    assert [str(step.at) for step in scenario.certificates][:2] == ["steady+10s", "steady+12s"]
    assert scenario.certificates[3].spread == 5_000_000_000
    again = tmp_path / "again.yaml"
    again.write_text(scenario.to_yaml())
    assert load_scenario(again) == scenario


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ({"renew": "devices"}, '"at" is missing'),
        ({"at": "steady"}, "needs exactly one of renew, reconnect, rotate_ca, and has none"),
        ({"at": "steady", "renew": "devices", "reconnect": "devices"}, "and has renew and reconnect"),
        (
            {"at": "steady", "reconnect": "devices", "valid_for": "5s"},
            "valid_for means nothing for reconnect",
        ),
        ({"at": "steady", "renew": ["devices", "devices"]}, "names a set twice"),
        ({"at": "steady", "renew": "devices", "to": "boards", "valid_for": "5s"}, "both to and valid_for"),
        ({"at": "steady", "renew": "devices", "keep_connections": True, "expect": "refused"}, "comes back"),
        ({"at": "steady", "renew": "device"}, 'there is no identity set "device"'),
        ({"at": "steady", "renew": "elsewhere"}, 'no group has certificates of "elsewhere"'),
        ({"at": "steady", "renew": "devices", "to": "device"}, 'there is no identity set "device"'),
        ({"at": "steady", "renew": "own"}, "cannot renew them"),
        ({"at": "steady", "rotate_ca": "own"}, "loadgen has no CA"),
        ({"at": "steady", "rotate_ca": "devices"}, '"boards" has certificates of the same CA'),
        ({"at": "steady", "rotate_ca": ["devices", "boards", "elsewhere"]}, "different CAs"),
        ({"at": "steddy", "renew": "devices"}, 'there is no stage "steddy"'),
        ({"at": "steady+20s", "renew": "devices"}, "after the end of"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, step: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, [step])
    problems = [str(problem) for problem in caught.value.problems]
    assert any(what in problem and ": certificates.0" in problem for problem in problems), problems
    assert all(problem.mend for problem in caught.value.problems)


def test_a_client_id_of_the_serial_number_is_warned_about(tmp_path: Path) -> None:
    groups = {"sensors": {"clients": 2, "identity": "devices", "client_id": "{serial}"}}
    scenario = load(tmp_path, [{"at": "steady", "renew": "devices"}], groups=groups)
    assert any("keeps its client id" in str(each) for each in scenario.warnings)
