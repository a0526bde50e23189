from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from loadgen.scenario.uri import Uri, UriField, parse_uri


@pytest.mark.parametrize(
    ("text", "host", "port", "written"),
    [
        ("mqtts://h", "h", 8883, "mqtts://h:8883"),
        ("mqtts://127.0.0.2:18883", "127.0.0.2", 18883, "mqtts://127.0.0.2:18883"),
        ("mqtts://[::1]:1", "::1", 1, "mqtts://[::1]:1"),
        ("MQTTS://h/", "h", 8883, "mqtts://h:8883"),
    ],
)
def test_addresses(text: str, host: str, port: int, written: str) -> None:
    uri = parse_uri(text)
    assert (uri.host, uri.port, str(uri)) == (host, port, written)
    assert parse_uri(str(uri)) == uri == parse_uri(uri)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("mqtt://h:1883", "write mqtts://h:8883"),
        ("h:8883", "write mqtts://h:8883"),
        ("ssl://h:8883", "write mqtts://h:8883"),
        ("mqtts://", "write for example mqtts://127.0.0.1:8883"),
        ("mqtts://h:0", "write for example mqtts://127.0.0.1:8883"),
        ("mqtts://h:99999", "write for example mqtts://127.0.0.1:8883"),
        ("mqtts://h:x", "write for example mqtts://127.0.0.1:8883"),
        ("mqtts://a b", "write for example mqtts://127.0.0.1:8883"),
        ("mqtts://me:secret@h", "remove the part before the @"),
        # Whatever else is wrong with them, and told first otherwise:
        ("mqtts://me:secret@h:99999", "remove the part before the @"),
        ("mqtts://me:secret@[h", "remove the part before the @"),
        ("mqtts://me:secret@", "remove the part before the @"),
        ("mqtt://me:secret@h", "remove the part before the @"),
        ("ssl://me:secret@h", "remove the part before the @"),
        ("me:secret@h:8883", "remove the part before the @"),
        ({"uri": "mqtts://me:secret@h"}, "remove the part before the @"),
        ("mqtts://h/path", "end it after the port"),
        (5, "write for example mqtts://127.0.0.1:8883"),
    ],
)
def test_refusals_tell_what_to_write(text: object, mend: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse_uri(text)
    assert caught.value.context is not None
    assert caught.value.context["mend"] == mend
    assert "secret" not in str(caught.value) + str(caught.value.context)


def test_as_a_field() -> None:
    adapter: TypeAdapter[Uri] = TypeAdapter(UriField)
    assert adapter.dump_python(adapter.validate_python("mqtts://h"), mode="json") == "mqtts://h:8883"
    with pytest.raises(ValidationError):
        adapter.validate_python("http://h")
