from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from loadgen.scenario.sources import SourceField, SourceRange

FIELD: TypeAdapter[SourceRange] = TypeAdapter(SourceField)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("127.0.1.1", ("127.0.1.1",)),
        ("127.0.1.254-127.0.2.1", ("127.0.1.254", "127.0.1.255", "127.0.2.0", "127.0.2.1")),
        ("::1 - ::2", ("::1", "::2")),
    ],
)
def test_an_address_or_a_range(text: str, addresses: tuple[str, ...]) -> None:
    found = FIELD.validate_python(text)
    assert found.addresses() == addresses
    assert FIELD.validate_python(str(found)) == found


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("localhost", "is no IP address"),
        (5, "is no IP address"),
        ("127.0.0.1-", "is no IP address"),
        ("127.0.0.1-::1", "mixes IPv4 and IPv6"),
        ("127.0.1.9-127.0.1.1", "is an empty range"),
        ("127.0.0.1-127.1.0.1", "has 65537 addresses"),
    ],
)
def test_what_is_none(value: object, what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        FIELD.validate_python(value)
