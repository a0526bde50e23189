"""The `expect:` of a group: how the brokers must answer its clients, with a refusal or without."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from loadgen.scenario.base import Flag, Strict, malformed
from loadgen.scenario.units import NS_PER_S, PositiveDuration

Alert = Literal[
    "any",
    "access_denied",
    "bad_certificate",
    "certificate_expired",
    "certificate_required",
    "certificate_revoked",
    "certificate_unknown",
    "decrypt_error",
    "handshake_failure",
    "unknown_ca",
    "unsupported_certificate",
]
"""TLS alerts that refuse a certificate [RFC 8446 6.2], and `any`."""

_SHORT = {"accepted": True, "closed": "after_connack", "tls_alert": "any"}


def _code(value: object) -> int:
    try:
        code = int(value, 0) if isinstance(value, str) else value
    except ValueError:
        code = None
    if not isinstance(code, int) or isinstance(code, bool) or not 0x80 <= code <= 0xFF:
        raise malformed(
            f'"{value}" is no reason code of a refusal', "write one from 0x80 to 0xFF, such as 0x86"
        )
    return code


Code = Annotated[
    int,
    PlainValidator(_code),
    PlainSerializer(lambda code: f"0x{code:02X}", return_type=str),
    WithJsonSchema({"type": ["integer", "string"], "examples": ["0x86"]}),
]
"""A reason code of MQTT 5 that refuses, 0x80 to 0xFF."""


class Expect(Strict):
    """How the brokers must answer each client; of several answers any one will do."""

    accepted: Flag = False
    """Connected, subscribed and left alone; `expect: accepted` is short for it."""
    connack: Code | None = None
    """Reason code of the CONNACK that refuses the client."""
    tls_alert: Alert | None = None
    """Name of the TLS alert that refuses it, or `any`; `expect: tls_alert` is short for any."""
    suback: Code | None = None
    """Reason code of the SUBACK that refuses a subscription."""
    disconnect: Code | None = None
    """Reason code of the DISCONNECT that ends the connection after it was accepted; 0x8E is a takeover."""
    closed: Literal["after_connack", "instead_of_connack"] | None = None
    """The broker ends the connection (FIN or RST) without a word; `expect: closed` is after the CONNACK."""
    within: PositiveDuration = 10 * NS_PER_S
    """Longest time until the answer: from the start of the connection, and for what comes after the CONNACK
    from there, or from the first publish of a group that publishes."""

    @model_validator(mode="after")
    def _some_answer(self) -> Expect:
        if not self.accepted and not self.refused:
            raise malformed("names no answer", "write for example {connack: 0x86, within: 10s}")
        if self.accepted and self.refused:
            raise malformed("expects to be accepted and refused", "keep one of them")
        return self

    @property
    def refused(self) -> bool:
        """Whether it is a refusal that is expected."""
        return (self.connack, self.tls_alert, self.suback, self.disconnect, self.closed) != (None,) * 5

    @property
    def takeover(self) -> bool:
        """Whether another client with the same id is to come."""
        return self.disconnect is not None


def _short_form(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in _SHORT:
        raise malformed(
            f'"{value}" is no answer of a broker',
            "write accepted, closed, tls_alert, or for example {connack: 0x86}",
        )
    return {value: _SHORT[value]}


ExpectField = Annotated[
    Expect,
    BeforeValidator(_short_form, json_schema_input_type=Expect | Literal["accepted", "closed", "tls_alert"]),
]
"""The answers to expect, or one of the short forms."""
