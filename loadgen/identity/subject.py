"""The subject of a certificate as RabbitMQ reads it: its common name, and the whole name as one text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from cryptography import x509

_ESCAPED = '"+,;<>\\'
# Only these have a short name in RabbitMQ's rabbit_cert_info; all others are shown by number.
_SHORT_NAMES = {
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GIVENNAME",
    NameOID.INITIALS: "INITIALS",
    NameOID.GENERATION_QUALIFIER: "GENERATIONQUALIFIER",
    NameOID.COMMON_NAME: "CN",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.TITLE: "TITLE",
    NameOID.COUNTRY_NAME: "C",
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.PSEUDONYM: "PSEUDONYM",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "EMAILADDRESS",
    NameOID.USER_ID: "UID",
}
# STREET is in its table under a number that no certificate has, so 2.5.4.9 is shown by number, too.
_FIELDS = {
    "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "l": NameOID.LOCALITY_NAME,
    "st": NameOID.STATE_OR_PROVINCE_NAME,
    "c": NameOID.COUNTRY_NAME,
    "serial_number": NameOID.SERIAL_NUMBER,
}


def common_name(name: x509.Name) -> str:
    """The common name as `ssl_cert_login_from = common_name` reads it: several are joined by a comma."""
    return ",".join(_text(attribute) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME))


def organization(name: x509.Name) -> str:
    """The organization (O), empty when there is none; several are joined by a comma."""
    return ",".join(_text(attribute) for attribute in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))


def attributes(name: x509.Name) -> dict[str, str]:
    """The parts of a subject besides CN and O that templates may use, those that are there."""
    return {
        key: ",".join(map(_text, found))
        for key, oid in _FIELDS.items()
        if (found := name.get_attributes_for_oid(oid))
    }


def rabbitmq_subject(name: x509.Name) -> str:
    """The name as RabbitMQ shows it in `peer_cert_subject`: RFC 4514, so the last part comes first.

    CN=dev1, O=client in the certificate's order gives `O=client,CN=dev1`.
    """
    return ",".join("+".join(_attribute(part) for part in rdn) for rdn in reversed(name.rdns))


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> str:
    short = _SHORT_NAMES.get(attribute.oid, attribute.oid.dotted_string)
    return f"{short}={_escape(_text(attribute))}"


def _text(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _escape(value: str) -> str:
    """Escape as RFC 4514 §2.4 asks, and like RabbitMQ also `~` and every byte outside printable ASCII."""
    escaped = []
    for position, byte in enumerate(value.encode()):
        character = chr(byte)
        leading = position == 0 and character in " #"
        trailing = position == len(value.encode()) - 1 and character == " "
        if leading or trailing or character in _ESCAPED:
            escaped.append("\\" + character)
        elif byte < 32 or byte >= 126:
            escaped.append(f"\\{byte:02X}")
        else:
            escaped.append(character)
    return "".join(escaped)
