from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.places import Places

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """\
name: x
target:
  uris: ["mqtts://a"]
  tls: {ca: here.pem}
groups:
  one: {clients: 1}
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO)
    return path.relative_to(tmp_path)


def test_places_in_the_scenario(scenario: Path) -> None:
    places = Places(scenario)
    assert places.of("target", "tls", "ca") == "s.yaml:4: target.tls.ca"
    assert places.of("target", "uris") == "s.yaml:3: target.uris"
    # What is not written is placed with what is around it.
    assert places.of("target", "tls", "server_name") == "s.yaml:4: target.tls.server_name"
    assert places.command("provision") == "loadgen provision s.yaml"


@pytest.mark.parametrize("text", ["uris: [a]\ntls:\n  ca: x\n", "target:\n  tls: {ca: x}\n"])
def test_places_in_the_targets_file(scenario: Path, tmp_path: Path, text: str) -> None:
    target = tmp_path / "t.yaml"
    target.write_text(text)
    places = Places(scenario, (), target.relative_to(tmp_path))
    line = text[: text.index("ca:")].count("\n") + 1
    assert places.of("target", "tls", "ca") == f"t.yaml:{line}: target.tls.ca"
    assert places.of("groups", "one") == "s.yaml:6: groups.one"
    assert places.command("provision") == "loadgen provision s.yaml --target t.yaml"


def test_places_in_overrides(scenario: Path) -> None:
    assert Places(scenario, ["target.tls.ca=y"]).of("target", "tls", "ca") == "--set target.tls.ca"


def test_a_file_that_has_gone_leaves_the_key(scenario: Path) -> None:
    scenario.unlink()
    assert Places(scenario).of("target", "tls", "ca") == "s.yaml: target.tls.ca"
