"""The client's side of TLS: contexts that many clients share.

A context per client costs 25 KB and half a millisecond (with the system's CAs 800 KB and 20 ms), so all
clients of a worker share one and load their certificate into it just before their connection is made: the
connection keeps its own reference. That is only right for keys of one type: OpenSSL keeps a slot for each
type in a context, so an EC client after an RSA client would hold both certificates and the handshake might
present the other client's. `IdentityContexts` keeps one context per type of key.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.identity.identity import Identity

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
GROUPS = {
    "x25519": "X25519",
    "secp256r1": "prime256v1",
    "secp384r1": "secp384r1",
    "secp521r1": "secp521r1",
    "x448": "X448",
}
"""Groups for the key exchange by their names in TLS [RFC 8446 4.2.7], and what Python calls them."""


@dataclass(frozen=True, slots=True)
class TlsOffer:
    """What a client offers a broker, and whether it looks at what it gets."""

    versions: tuple[str, ...] = ("1.2", "1.3")
    ciphers: tuple[str, ...] = ()
    """Suites of TLS 1.2, in order of preference; OpenSSL's choice when empty."""
    group: str | None = None
    """The only group for the key exchange, one of `GROUPS`; None: all that OpenSSL has."""
    insecure: bool = False
    """Neither check the broker's certificate nor its name."""


_USUAL = TlsOffer()


def client_context(ca: Path | None, offer: TlsOffer = _USUAL) -> ssl.SSLContext:
    """Make a context for connections to a broker; make one per worker (and type of key), not per client.

    Args:
        ca: file of the CA certificates that may sign the broker's; None means the system's. With a file the
            system's are never loaded.
        offer: what to offer the broker.

    Raises:
        ConfigError: the CA file cannot be read, or a version, cipher suite or group is unknown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    set_up_context(context, ca, offer)
    return context


def set_up_context(context: ssl.SSLContext, ca: Path | None, offer: TlsOffer) -> None:
    """Make a new client's context (of a class of one's own, say) as `client_context` makes them.

    Arguments and errors are those of `client_context`.
    """
    unknown = [version for version in offer.versions if version not in _VERSIONS]
    if unknown or not offer.versions:
        raise ConfigError(f"tls.versions: {', '.join(unknown) or 'none given'}", 'write "1.2", "1.3" or both')
    chosen = sorted(_VERSIONS[version] for version in offer.versions)
    context.minimum_version, context.maximum_version = chosen[0], chosen[-1]
    context.options |= ssl.OP_NO_RENEGOTIATION
    if offer.ciphers:
        try:
            context.set_ciphers(":".join(offer.ciphers))
        except ssl.SSLError:
            names = ", ".join(offer.ciphers)
            raise ConfigError(
                f"tls.ciphers: OpenSSL knows none of {names}", "openssl ciphers -s -tls1_2"
            ) from None
    if offer.group is not None:
        _choose_group(context, offer.group)
    if offer.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if ca is not None:
        _load_ca(context, ca)
    elif not offer.insecure:
        context.load_default_certs()


def _choose_group(context: ssl.SSLContext, group: str) -> None:
    try:
        # Sets the list of groups, not only of curves, to this one.
        context.set_ecdh_curve(GROUPS[group])
    except (KeyError, ValueError, ssl.SSLError):
        raise ConfigError(f"tls.group: this OpenSSL has no {group}", f"one of {', '.join(GROUPS)}") from None


def load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    """Make the next connection of this context present the identity's certificate.

    Raises:
        ConfigError: a file is missing, no PEM, needs a password, or the two don't match.
    """
    if not identity.shown:
        return  # its type of key is no other's, so nobody loads a certificate into this context
    # Without a password argument OpenSSL would ask on the terminal for that of an encrypted key.
    password = _no_password if identity.key_password is None else identity.key_password.reveal
    try:
        context.load_cert_chain(identity.certificate_file, identity.key_file, password=password)
    except _EncryptedKeyError as error:
        mend = "name its password, or decrypt it: openssl pkey -in KEY -out KEY.plain"
        raise ConfigError(f"{identity.key}: the private key is encrypted", mend) from error
    except ssl.SSLError as error:
        what = f"{identity.certificate} and {identity.key.name}: {error.reason or error}"
        raise ConfigError(what, "run `loadgen certs verify` on the certificate") from error
    except OSError as error:
        what = f"{identity.certificate} or {identity.key.name}: {error.strerror or error}"
        raise ConfigError(what, "run `loadgen certs issue`") from error


class IdentityContexts:
    """The shared contexts of a worker: one for each type of key among its identities."""

    __slots__ = ("_ca", "_contexts", "_offer")

    def __init__(self, ca: Path | None, offer: TlsOffer = _USUAL) -> None:
        """Make the first context, so that a wrong CA file or version is found now.

        Arguments and errors are those of `client_context`.
        """
        self._ca, self._offer = ca, offer
        self._contexts = {"ec-p256": client_context(ca, offer)}

    def for_identity(self, identity: Identity) -> ssl.SSLContext:
        """The context, with this identity loaded, for a connection made before the next call (one thread).

        Raises:
            ConfigError: as `load_identity`.
        """
        context = self._contexts.get(identity.key_type)
        if context is None:
            context = client_context(self._ca, self._offer)
            self._contexts[identity.key_type] = context
        load_identity(context, identity)
        return context


def _load_ca(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{ca}: no CA certificate in PEM form", "name the broker's ca_certificate.pem"
        ) from error
    except OSError as error:
        what = f"{ca}: CA file cannot be read: {error.strerror or error}"
        raise ConfigError(what, "name the broker's ca_certificate.pem as tls.ca") from error


class _EncryptedKeyError(Exception):
    """OpenSSL asked for a password."""


def _no_password() -> str:
    raise _EncryptedKeyError
