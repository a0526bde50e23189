"""RabbitMQ's rule from a certificate to a user name and a client id, in one place.

It follows `rabbit_ssl:peer_cert_auth_name` and `get_vhost`, `creds` and `extract_client_id_from_certificate`
of `rabbit_mqtt_processor` in RabbitMQ 4.3.6, against which the tests hold it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from loadgen.identity.alternative_names import OTHER_NAME, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.identity.identity import Identity

COMMON_NAME = "common_name"
DISTINGUISHED_NAME = "distinguished_name"
SAN = "subject_alternative_name"

BAD_USER_NAME_OR_PASSWORD = 0x86
CLIENT_ID_NOT_VALID = 0x85


@dataclass(frozen=True, slots=True)
class Source:
    """Which name of a certificate the broker takes."""

    name: str = COMMON_NAME
    """`common_name`, `distinguished_name` or `subject_alternative_name`."""
    san_type: str = "dns"
    """`dns`, `ip`, `email`, `uri` or `other_name`; only with `subject_alternative_name`."""
    san_index: int = 0
    """Place among the alternative names of this type, from 0."""

    def __str__(self) -> str:
        """In words, such as `SAN dns 0`."""
        return f"SAN {self.san_type} {self.san_index}" if self.name == SAN else self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class LoginRule:
    """The settings of a broker that decide who a certificate is."""

    user: Source = Source()
    """`ssl_cert_login_from`, `ssl_cert_login_san_type`, `ssl_cert_login_san_index`."""
    client_id: Source | None = None
    """`mqtt.ssl_cert_client_id_from`, `mqtt.ssl_cert_login_san_type`, `…_san_index`; None: any client id."""
    vhost: str = "/"
    """`mqtt.vhost`: the virtual host of user names without a colon."""
    ignore_colons: bool = False
    """`ignore_colons_in_username` of `rabbitmq_mqtt`: user names are taken whole."""
    default_vhosts: Mapping[str, str] = field(default_factory=dict)
    """The global parameter `mqtt_default_vhosts`: name in a certificate → virtual host of that client. The
    user is the whole name then, colons or not."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a broker will make of a client that connects without user name and password."""

    user: str | None
    """The user, or None when the certificate gives none."""
    vhost: str | None
    required_client_id: str | None
    """The one client id the broker takes; None when it takes any."""
    refusal: str = ""
    """Why it will be refused; empty when it will be accepted, given that the user exists and has rights."""
    code: int | None = None
    """Reason code of the CONNACK that refuses it; None when accepted, or when there will be no CONNACK."""

    @property
    def accepted(self) -> bool:
        """Whether nothing in the certificate or client id makes the broker refuse it."""
        return not self.refusal


class UnusableNameError(Exception):
    """The certificate has the name, and RabbitMQ cannot use it."""


def certificate_name(identity: Identity, source: Source) -> bytes | None:
    """The bytes that RabbitMQ takes from a certificate, or None when it finds no such name.

    Raises:
        UnusableNameError: an other name that isn't a UTF8String: RabbitMQ's process ends over it.
    """
    if not identity.shown:
        return None
    if source.name == COMMON_NAME:
        return identity.cn.encode() if identity.cn else None
    if source.name == DISTINGUISHED_NAME:
        return identity.subject_rabbitmq.encode()
    values = identity.sans.get(source.san_type, ())
    if source.san_index >= len(values):
        return None
    value = text_of(source.san_type, values[source.san_index])
    if source.san_type == "ip":
        return ipaddress.ip_address(value).packed
    if source.san_type == OTHER_NAME and value.startswith("#"):
        raise UnusableNameError
    return value.encode()


def split_vhost(name: str, rule: LoginRule) -> tuple[str, str]:
    """The virtual host and the user in a name: the last colon parts them, else the vhost is the default."""
    vhost, colon, user = name.rpartition(":")
    return (vhost, user) if colon and not rule.ignore_colons else (rule.vhost, name)


def predict(identity: Identity, client_id: str, rule: LoginRule) -> Prediction:
    """Say what a broker with these rules makes of a client; checks come in the broker's order.

    Args:
        identity: whose certificate the broker sees; that it trusts it is taken for granted.
        client_id: what CONNECT carries.
        rule: the broker's settings. Anonymous logins are taken to be off, and no virtual host to be mapped
            to a port.
    """
    user = vhost = required = None
    user_trouble, code = "", None
    try:
        name = certificate_name(identity, rule.user)
        if name is None:
            user_trouble, code = f"the certificate has no {rule.user}", BAD_USER_NAME_OR_PASSWORD
        else:
            user = name.decode()
            vhost = rule.default_vhosts.get(user)
            if vhost is None:
                vhost, user = split_vhost(user, rule)
    except UnusableNameError:
        user_trouble = f"{rule.user} is not a UTF8String, and RabbitMQ closes the connection"
    except UnicodeDecodeError:
        user_trouble, code = f"{rule.user} is bytes that no user is named", BAD_USER_NAME_OR_PASSWORD
    if rule.client_id is not None:
        try:
            wanted = certificate_name(identity, rule.client_id)
            required = None if wanted is None else wanted.decode()
        except (UnusableNameError, UnicodeDecodeError):
            refusal = f"{rule.client_id} is nothing that a client id can equal"
            return Prediction(user, vhost, None, refusal, CLIENT_ID_NOT_VALID)
        if required is not None and required != client_id:
            refusal = f"the client id must be {rule.client_id} of the certificate"
            return Prediction(user, vhost, required, refusal, CLIENT_ID_NOT_VALID)
    return Prediction(user, vhost, required, user_trouble, code)


def user_name(identity: Identity, rule: LoginRule) -> str:
    """The user under which a broker logs this identity in; empty when its certificate gives none."""
    return predict(identity, "", replace(rule, client_id=None)).user or ""
