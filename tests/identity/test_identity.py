from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.identity import Identity, user_name

IDENTITY = Identity(
    name="dev1",
    cn="dev1",
    serial="0A",
    organization="client",
    sans={"dns": ("a", "b"), "uri": ("urn:x",)},
    subject_rabbitmq="O=client,CN=dev1",
    not_before=0.0,
    not_after=1.0,
    certificate=Path("c"),
    key=Path("k"),
)


def test_templates_get_flat_fields() -> None:
    assert IDENTITY.template_fields() == {
        "cn": "dev1",
        "serial": "0A",
        "o": "client",
        "san.dns": "a",
        "san.dns.0": "a",
        "san.dns.1": "b",
        "san.uri": "urn:x",
        "san.uri.0": "urn:x",
    }


def test_the_broker_logs_in_by_common_name() -> None:
    assert user_name(IDENTITY) == "dev1"
    with pytest.raises(ConfigError, match="login_from"):
        user_name(IDENTITY, "moon")
