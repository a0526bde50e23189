"""How the brokers of a target take user and client id from a certificate, as they are configured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from loadgen.scenario.base import Flag, Strict, Text, Whole, malformed

SanType = Literal["dns", "ip", "email", "uri", "other_name"]
SAN = "subject_alternative_name"


class _From(Strict):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)


def _one_word(value: object) -> object:
    return {"from": value} if isinstance(value, str) else value


class Login(_From):
    """The brokers' `ssl_cert_login_from` and what belongs to it."""

    from_: Literal["common_name", "distinguished_name", "subject_alternative_name"] = Field(
        "common_name", alias="from"
    )
    """`ssl_cert_login_from`: what in a certificate becomes the user name."""
    san_type: SanType = "dns"
    """`ssl_cert_login_san_type`."""
    san_index: Whole = 0
    """`ssl_cert_login_san_index`: place among the names of the type, from 0."""
    vhost: Text = "/"
    """`mqtt.vhost`: the virtual host of user names without a colon."""
    ignore_colons: Flag = False
    """`ignore_colons_in_username`: a colon does not part virtual host and user."""
    default_vhosts: dict[Text, Text] = Field(default={})
    """The global parameter `mqtt_default_vhosts`: name in a certificate → virtual host."""

    @model_validator(mode="after")
    def _san_only(self) -> Login:
        _refuse_san_settings(self.from_, self.san_type, self.san_index)
        return self


class ClientIdFrom(_From):
    """The brokers' `mqtt.ssl_cert_client_id_from` and what belongs to it (RabbitMQ 4.0 and later)."""

    from_: Literal["distinguished_name", "subject_alternative_name"] = Field(alias="from")
    """`mqtt.ssl_cert_client_id_from`: what in a certificate must be the client id."""
    san_type: SanType = "dns"
    """`mqtt.ssl_cert_login_san_type`, which despite its name is the client id's."""
    san_index: Whole = 0
    """`mqtt.ssl_cert_login_san_index`: place among the names of the type, from 0."""

    @model_validator(mode="after")
    def _san_only(self) -> ClientIdFrom:
        _refuse_san_settings(self.from_, self.san_type, self.san_index)
        return self


def _refuse_san_settings(source: str, san_type: str, san_index: int) -> None:
    # Their defaults are no slip: the scenario as run has them written out.
    if source != SAN and (san_type, san_index) != ("dns", 0):
        raise malformed(
            f"san_type and san_index have no use with {source}", f"write from: {SAN}, or remove them"
        )


LoginField = Annotated[Login, BeforeValidator(_one_word, json_schema_input_type=Login | str)]
"""`{from: …}`, or the word alone."""
ClientIdField = Annotated[ClientIdFrom, BeforeValidator(_one_word, json_schema_input_type=ClientIdFrom | str)]
"""`{from: …}`, or the word alone."""
