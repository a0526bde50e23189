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
    assert issue.san.by_type() == {"dns": (), "ip": (), "email": (), "uri": (), "other_name": ()}


@pytest.mark.parametrize(
    ("identity_set", "what"),
    [
        ({}, "exactly one of issue, directory, csv and pkcs12"),
        ({"issue": {"count": 1, "common_name": "a"}, "directory": {"path": "x"}}, "exactly one"),
        ({"issue": {"count": 0, "common_name": "a"}}, "greater than or equal"),
        ({"issue": {"count": 1, "common_name": "{cn}"}}, "unknown field"),
        ({"issue": {"count": 1, "common_name": "a", "key": "rsa"}}, "ec-p256"),
        ({"xml": "x"}, "Extra inputs"),
        ({"csv": {"path": "x", "delimiter": "ab"}}, "at most 1 character"),
        ({"directory": {"path": "x", "certificate": "{name}.crt"}}, "needs both certificate and key"),
        ({"directory": {"path": "x", "certificate": "a.crt", "key": "{name}.key"}}, "must have {name} once"),
        ({"pkcs12": {"path": "x", "password": "secret"}}, "does not belong in the scenario file"),
        ({"issue": {"count": 1, "common_name": "a", "not_after": "tomorrow"}}, "is not a date"),
        ({"issue": {"count": 1, "common_name": "a", "not_after": "1d"}}, "is not a date"),
        (
            {"issue": {"count": 1, "common_name": "a", "not_after": "+1d", "valid_for": "1d"}},
            "both valid_for and not_after",
        ),
        ({"issue": {"count": 1, "common_name": "a", "intermediates": 6}}, "less than or equal to 5"),
        ({"issue": {"count": 1, "common_name": "a", "extended_key_usage": ["x"]}}, "client_auth"),
    ],
)
def test_refused(identity_set: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        IdentitySet.model_validate(identity_set)
