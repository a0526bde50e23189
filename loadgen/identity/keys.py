"""Private keys: their types, making and reading them, and their form on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
"""The kinds of private key that loadgen issues for, and that a CA of loadgen or tls-gen has."""
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

KEY_TYPES = ("ec-p256", "ec-p384", "rsa-2048", "rsa-4096", "ed25519")
"""What can be issued."""


def new_key(key_type: str) -> PrivateKey:
    """Make a private key; milliseconds: ec-p256 0.02, ed25519 0.03, ec-p384 0.2, rsa-2048 70, rsa-4096 700.

    Raises:
        ConfigError: another type of key.
    """
    if key_type == "ec-p256":
        return ec.generate_private_key(ec.SECP256R1())
    if key_type == "ec-p384":
        return ec.generate_private_key(ec.SECP384R1())
    if key_type in ("rsa-2048", "rsa-4096"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type[4:]))
    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    raise ConfigError(f"key: {key_type!r} is not supported", f"write {', '.join(KEY_TYPES)}")


def key_pem(key: PrivateKey, password: str | None = None) -> bytes:
    """The private key as PKCS#8 PEM, as tls-gen writes it; with a password encrypted with AES-256."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password.encode()),
    )


def parse_key(content: bytes, where: Path, password: str | None = None) -> object:
    """Read a private key from a PEM file's content.

    Args:
        content: the file's; a certificate may stand in it too.
        where: the file, for messages.
        password: of an encrypted key. It is not needed for a key that isn't.

    Raises:
        ConfigError: there is none, it is encrypted and the password is missing or wrong, or it is of a kind
            that OpenSSL doesn't know here.
    """
    encoded = None if password is None or b"ENCRYPTED" not in content else password.encode()
    try:
        return serialization.load_pem_private_key(content, encoded)
    except TypeError as error:
        mend = (
            f"name its password (key_password: {{env: NAME}} or {{file: path}}), or decrypt it: openssl pkey "
            f"-in {where.name} -out {where.name}.plain"
        )
        raise ConfigError(f"{where}: the private key is encrypted", mend) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if encoded is not None:
            what = f"{where}: the password does not open the private key"
            raise ConfigError(what, "name the right password") from error
        raise ConfigError(f"{where}: no private key in PEM form", "name a PEM key") from error


def key_matches(certificate: x509.Certificate, key: object) -> bool:
    """Whether a private key is the one the certificate was made for."""
    public = getattr(key, "public_key", None)
    return public is not None and bool(public() == certificate.public_key())


def key_type_of(key: object) -> str:
    """Name the type of a key the way the scenario does: `ec-p256`, `rsa-2048` or `ed25519`."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return {"secp256r1": "ec-p256", "secp384r1": "ec-p384", "secp521r1": "ec-p521"}.get(
            key.curve.name, f"ec-{key.curve.name}"
        )
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey").lower()


def signing_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """The hash that certificates signed with this key take; Ed25519 has its own (RFC 8410 §3)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()
