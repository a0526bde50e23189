"""Subject alternative names of every kind that RabbitMQ reads: as texts, and in certificates.

An other name is written `OID=TEXT`, such as `1.3.6.1.4.1.54392.5.436=dev1`, and stands in a certificate as a
UTF8String, the only type of string that RabbitMQ 4.3 takes a name from. One of another type, in a certificate
made elsewhere, is shown as `OID=#` and its DER in hexadecimal, as RFC 4514 §2.4 writes such values.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from cryptography import x509

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER_NAME = "other_name"
KINDS = ("dns", "ip", "email", "uri", OTHER_NAME)
"""The kinds that we issue and read, in the order in which they stand in a certificate of ours."""

_UTF8_STRING = 0x0C
_OTHER = re.compile(r"([0-2](?:\.(?:0|[1-9][0-9]*))+)=(.*)")
_NEEDS = {
    "ip": "an IP address",
    OTHER_NAME: "OID=TEXT, such as 1.3.6.1.4.1.54392.5.436=dev1, and the text not begin with #",
}


def general_name(kind: str, value: str) -> x509.GeneralName:
    """Make one alternative name.

    Args:
        kind: one of `KINDS`.
        value: its text; `OID=TEXT` for an other name.

    Raises:
        ConfigError: the kind cannot hold the value.
    """
    try:
        if not value or not value.isprintable():
            raise ValueError  # noqa: TRY301
        if kind == "ip":
            return x509.IPAddress(ipaddress.ip_address(value))
        if kind == "dns":
            return x509.DNSName(value)
        if kind == OTHER_NAME:
            return _other_name(value)
        return x509.RFC822Name(value) if kind == "email" else x509.UniformResourceIdentifier(value)
    except ValueError as error:
        need = _NEEDS.get(kind, "printable ASCII (write non-ASCII host names as xn--…)")
        raise ConfigError(f"SAN {kind} {value!r} must be {need}", "mend the san entry") from error


def sans_of(certificate: x509.Certificate) -> dict[str, tuple[str, ...]]:
    """The subject alternative names by kind, in the certificate's order; kinds without any are left out."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return {}
    found: dict[str, list[str]] = {}
    for name in extension:
        if isinstance(name, x509.OtherName):
            text = f"{name.type_id.dotted_string}={_string(name.value)}"
            found.setdefault(OTHER_NAME, []).append(text)
        elif (kind := _KIND_OF.get(type(name))) is not None:
            found.setdefault(kind, []).append(str(name.value))
    return {kind: tuple(found[kind]) for kind in KINDS if kind in found}


def plain_sans(sans: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """SANs as a certificate gives them back: no empty kinds, IP addresses in their shortest form."""
    return {
        kind: tuple(map(_shortest_ip, values)) if kind == "ip" else tuple(values)
        for kind, values in sans.items()
        if values
    }


def text_of(kind: str, value: str) -> str:
    """What a template's `{san.KIND}` stands for: the name itself, of an other name without its OID."""
    return value.partition("=")[2] if kind == OTHER_NAME else value


def _other_name(value: str) -> x509.OtherName:
    match = _OTHER.fullmatch(value)
    if match is None or not match[2] or match[2].startswith("#"):
        raise ValueError
    content = match[2].encode()
    if len(content) < 0x80:
        length = bytes([len(content)])
    else:
        digits = len(content).to_bytes((len(content).bit_length() + 7) // 8)
        length = bytes([0x80 + len(digits)]) + digits
    return x509.OtherName(x509.ObjectIdentifier(match[1]), bytes([_UTF8_STRING]) + length + content)


def _string(der: bytes) -> str:
    """The text of a DER UTF8String (X.690 §8.1.3), or the DER in hexadecimal."""
    if len(der) >= 2 and der[0] == _UTF8_STRING:
        begin = 2 + (der[1] - 0x80 if der[1] > 0x80 else 0)
        length = der[1] if der[1] < 0x80 else int.from_bytes(der[2:begin])
        if length == len(der) - begin:
            try:
                text = der[begin:].decode()
            except UnicodeDecodeError:
                return f"#{der.hex()}"
            if not text.startswith("#"):
                return text
    return f"#{der.hex()}"


def _shortest_ip(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return value  # `check_subject` refuses it


_KIND_OF: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "dns",
    x509.IPAddress: "ip",
    x509.RFC822Name: "email",
    x509.UniformResourceIdentifier: "uri",
}
