"""Addresses of nodes: `mqtts://host:port`, and of management APIs: `http://host:port`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from loadgen.scenario.base import malformed

MQTTS_PORT = 8883


@dataclass(frozen=True, slots=True, order=True)
class Uri:
    """One node's MQTT listener over TLS."""

    host: str
    """Host name or address; IPv6 without brackets."""
    port: int = MQTTS_PORT

    def __str__(self) -> str:
        """`mqtts://host:port`."""
        return f"mqtts://{self.address}"

    @property
    def address(self) -> str:
        """`host:port`, the way the node is named in reports."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_uri(value: object) -> Uri:
    """Read `mqtts://host:port`.

    Raises:
        PydanticCustomError: another scheme (loadgen is for mutual TLS), no host, a bad port, or parts
            that an MQTT address does not have.
    """
    if isinstance(value, Uri):
        return value
    _refuse_login(value)
    if not isinstance(value, str):
        raise malformed(f"must be an address, not {value}", "write for example mqtts://127.0.0.1:8883")
    text = value.strip()
    if "://" not in text:
        raise malformed(f'"{value}" names no scheme', f"write mqtts://{text}")
    scheme, _, rest = text.partition("://")
    if scheme.lower() == "mqtt":
        raise malformed(
            f'"{value}" is MQTT without TLS, and loadgen connects with mutual TLS only',
            f"write mqtts://{_host_of(rest)}:{MQTTS_PORT}",
        )
    if scheme.lower() != "mqtts":
        raise malformed(f'"{value}" has the unknown scheme "{scheme}"', f"write mqtts://{rest}")
    host, port = _split(text, value)
    return Uri(host, port if port is not None else MQTTS_PORT)


def _refuse_login(value: object) -> None:
    """Refuse an `@` before anything else: other messages repeat the value, which may hold a password."""
    if "@" in str(value):
        raise malformed("an address holds no user name or password", "remove the part before the @")


def _host_of(rest: str) -> str:
    return rest.rsplit(":", 1)[0].strip("/") or "host"


def _split(text: str, value: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise malformed(f'"{value}" is not an address', "write for example mqtts://127.0.0.1:8883") from None
    if not host or port == 0 or any(character.isspace() for character in text):
        raise malformed(f'"{value}" is not an address', "write for example mqtts://127.0.0.1:8883")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise malformed(f'"{value}" has a path', "end it after the port")
    return host, port


def _check_http(value: str) -> str:
    _refuse_login(value)
    if not value.lower().startswith(("http://", "https://")):
        raise malformed(f'"{value}" is not an address', "write for example http://127.0.0.1:15672")
    _split(value, value)
    return value.rstrip("/")


check_http_uri = AfterValidator(_check_http)
"""Validator for the base address of a management API; a `/` at the end is dropped."""

UriField = Annotated[
    Uri,
    PlainValidator(parse_uri),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^mqtts://", "examples": ["mqtts://127.0.0.1:8883"]}),
]
"""A node's address in a model."""
