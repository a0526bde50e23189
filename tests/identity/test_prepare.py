from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.prepare import prepare_set
from loadgen.scenario.identities import IdentitySet

if TYPE_CHECKING:
    from pathlib import Path


def test_a_set_is_issued_as_its_templates_say(tmp_path: Path) -> None:
    issue = {
        "count": 2,
        "common_name": "{set}-{index:03d}",
        "san": {"dns": ["a{index}", "b"], "uri": ["urn:{set}:{index}"]},
        "valid_for": "10d",
        "out": str(tmp_path),
    }
    first, second = prepare_set("meters", IdentitySet.model_validate({"issue": issue}))
    assert (first.cn, second.cn) == ("meters-000", "meters-001")
    assert second.sans == {"dns": ("a1", "b"), "uri": ("urn:meters:1",)}
    assert second.subject_rabbitmq == "CN=meters-001"
    assert second.not_after - second.not_before == 10 * 86_400 + 300
    assert (tmp_path / "meters.manifest.json").exists()


def test_a_directory_is_read_whole_or_by_names(tmp_path: Path) -> None:
    issue = {"count": 3, "common_name": "dev{index}", "out": str(tmp_path)}
    issued = prepare_set("all", IdentitySet.model_validate({"issue": issue}))
    whole = IdentitySet.model_validate({"directory": {"path": str(tmp_path)}})
    named = IdentitySet.model_validate({"directory": {"path": str(tmp_path), "names": "dev{index}"}})
    one = IdentitySet.model_validate({"directory": {"path": str(tmp_path), "names": "dev2"}})
    assert prepare_set("x", whole) == issued
    assert prepare_set("x", named, needed=2) == issued[:2]
    assert prepare_set("x", one, needed=5) == [issued[2]]
    with pytest.raises(ConfigError, match=r"client_dev3_certificate.pem"):
        prepare_set("x", named, needed=4)
