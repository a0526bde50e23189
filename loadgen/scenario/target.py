"""The `target:` section: which brokers, over which TLS, and whom to ask for their view."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from loadgen.scenario.base import Flag, Strict, Text, malformed, one_or_many
from loadgen.scenario.ciphers import CipherField
from loadgen.scenario.control import Control
from loadgen.scenario.login import ClientIdField, Login, LoginField
from loadgen.scenario.secret import Secret
from loadgen.scenario.sources import SourceField
from loadgen.scenario.units import NS_PER_S, Duration, PositiveDuration
from loadgen.scenario.uri import UriField, check_http_uri

TlsVersion = Literal["1.2", "1.3"]


def _quoted_version(value: object) -> object:
    if isinstance(value, float):
        raise malformed("a TLS version is text", f'put it in quotes: "{value}"')
    return value


class TlsSettings(Strict):
    """How clients check the broker's certificate and which TLS they speak."""

    ca: Text | None = None
    """PEM file of the CA that signed the brokers' certificates, relative to the working directory."""
    versions: Annotated[
        tuple[Annotated[TlsVersion, BeforeValidator(_quoted_version)], ...], Field(min_length=1)
    ] = ("1.2", "1.3")
    """TLS versions offered."""
    ciphers: Annotated[
        tuple[CipherField, ...],
        BeforeValidator(one_or_many, json_schema_input_type=CipherField | list[CipherField]),
    ] = ()
    """Cipher suites of TLS 1.2 offered, in order of preference, by OpenSSL's names; only with
    `versions: ["1.2"]`. OpenSSL's own choice when left out."""
    group: Literal["x25519", "secp256r1", "secp384r1", "secp521r1", "x448"] | None = None
    """The only group offered for the key exchange. All that OpenSSL has when left out: from 3.5 on with a
    post-quantum one (X25519MLKEM768), which few devices offer and which costs both ends."""
    server_name: Text | None = None
    """Name to expect in the brokers' certificates when it is not the host of the URI."""
    insecure: Flag = False
    """Do not check the brokers' certificates; the report says so."""

    @model_validator(mode="after")
    def _ciphers_have_an_effect(self) -> TlsSettings:
        if self.ciphers and self.versions != ("1.2",):
            raise malformed(
                "ciphers are suites of TLS 1.2, and with TLS 1.3 on offer they would not be used",
                'write versions: ["1.2"], or remove ciphers',
            )
        return self


class Management(Strict):
    """The management API, from which a run reads the broker's own view of the clients."""

    uris: Annotated[tuple[Annotated[Text, Field(), check_http_uri], ...], Field(min_length=1)]
    """Base addresses, tried in turn: `http://127.0.0.1:15672`."""
    username: Text
    """A user with the tag `monitoring` or more."""
    password: Secret
    """Where its password is kept."""
    ca: Text | None = None
    """PEM file of the CA for https."""
    sample_every: Duration = 5 * NS_PER_S
    """How often the brokers are asked for memory, connections and queue depth during a run; `0s`: never."""


class Timeouts(Strict):
    """How long each phase of a connection may take before it counts as failed."""

    tcp: PositiveDuration = 10 * NS_PER_S
    """From `connect()` to an established TCP connection."""
    tls: PositiveDuration = 10 * NS_PER_S
    """From the first to the last byte of the TLS handshake."""
    connack: PositiveDuration = 70 * NS_PER_S
    """From CONNECT to CONNACK. RabbitMQ looks 60 s for the queue of a session whose node was lost and
    then waits 3 s before it refuses, so a shorter limit would take its late answers for none."""
    ping: PositiveDuration | None = None
    """From PINGREQ to PINGRESP; half of the keep-alive when left out."""


def _with_login_from(schema: dict[str, Any]) -> None:
    """Tell editors of the short form."""
    schema["properties"]["login_from"] = {
        "enum": ["common_name", "distinguished_name", "subject_alternative_name"],
        "description": "Short for login: {from: …}.",
    }


class Target(Strict):
    """The system under test."""

    model_config = ConfigDict(json_schema_extra=_with_login_from)

    kind: Literal["rabbitmq", "embedded"] = "rabbitmq"
    """`rabbitmq`: the nodes named by `uris`. `embedded`: a small broker that the run starts itself."""
    uris: tuple[UriField, ...] = ()
    """The nodes: `mqtts://host:port`, port 8883 when left out."""
    spread: Literal["round-robin", "random", "in-order"] = "round-robin"
    """Which node a client tries first, and the order after a failure."""
    source_addresses: Annotated[
        tuple[SourceField, ...],
        BeforeValidator(one_or_many, json_schema_input_type=SourceField | list[SourceField]),
    ] = ()
    """Addresses of this machine to connect from, used in turn: each gives about 28,000 more connections to a
    node. An address, a range `127.0.1.1-127.0.1.20`, or a list of them; the system chooses when left out."""
    tls: TlsSettings = TlsSettings()
    """TLS settings of the clients."""
    management: Management | None = None
    """The management API; without it the broker's view is not checked."""
    control: Control | None = None
    """How to get hold of the nodes, for faults; without it only some kinds are possible."""
    timeouts: Timeouts = Timeouts()
    """Limits of the phases of a connection."""
    login: LoginField = Login.model_validate({})
    """What in a certificate becomes the user name, as configured in the brokers."""
    client_id_from: ClientIdField | None = None
    """What in a certificate must be the client id, as configured in the brokers; any id when left out."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if not isinstance(value, dict) or "login_from" not in value:
            return value
        if "login" in value:
            raise malformed("has both login and login_from", "remove login_from")
        return {("login" if key == "login_from" else key): each for key, each in value.items()}

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Target:
        if self.kind == "rabbitmq" and not self.uris:
            raise malformed("no node to connect to", "add uris: [mqtts://host:8883], or write kind: embedded")
        others = (self.management, self.control)
        if self.kind == "embedded" and (self.uris or any(each is not None for each in others)):
            raise malformed(
                "the embedded broker chooses its own address and has neither management API nor node control",
                "remove uris, management and control, or write kind: rabbitmq",
            )
        if len(set(self.uris)) != len(self.uris):
            raise malformed("uris names a node twice", "remove the second")
        if self.control is not None and self.control.kind != "local":
            self._check_control(self.control)
        if len(set(self.sources)) != len(self.sources):
            raise malformed("source_addresses names an address twice", "remove the second")
        return self

    def _check_control(self, control: Control) -> None:
        if len(control.nodes) != len(self.uris):
            raise malformed(
                f"{control.where} of control names {len(control.nodes)} nodes, and uris {len(self.uris)}",
                "name the same nodes in the same order",
            )
        if len(set(control.nodes)) != len(control.nodes):
            raise malformed(f"{control.where} of control names a node twice", "remove the second")

    @property
    def sources(self) -> tuple[str, ...]:
        """Every address to connect from, in order."""
        return tuple(address for each in self.source_addresses for address in each.addresses())
