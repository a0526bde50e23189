from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from loadgen.scenario.identities import IdentitySet


def test_issue_defaults() -> None:
    issue = IdentitySet.model_validate({"issue": {"count": 2, "common_name": "a{index}"}}).issue
    assert issue is not None
    assert (issue.key, issue.out, issue.organization) == ("ec-p256", "certs/out", None)
    assert issue.valid_for == 365 * 86_400 * 1_000_000_000
    assert issue.san.by_type() == {"dns": (), "ip": (), "email": (), "uri": ()}


@pytest.mark.parametrize(
    ("identity_set", "what"),
    [
        ({}, "exactly one of issue and directory"),
        ({"issue": {"count": 1, "common_name": "a"}, "directory": {"path": "x"}}, "exactly one"),
        ({"issue": {"count": 0, "common_name": "a"}}, "greater than or equal"),
        ({"issue": {"count": 1, "common_name": "{cn}"}}, "unknown field"),
        ({"issue": {"count": 1, "common_name": "a", "key": "rsa"}}, "ec-p256"),
        ({"csv": "x"}, "Extra inputs"),
    ],
)
def test_refused(identity_set: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        IdentitySet.model_validate(identity_set)
