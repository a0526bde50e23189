"""A folder of CRLs by the hash of their issuer's name, as OpenSSL's `-CApath` and Erlang's TLS read them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography import x509

from loadgen.identity import names, storage
from loadgen.identity.crl import write_crls

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.identity.identity import Password

_SET, _SEQUENCE, _UTF8_STRING = 0x31, 0x30, 0x0C


def write_crl_folder(directory: Path, folder: Path, *, password: Password | None = None) -> list[Path]:
    """Write a CA's CRLs anew, and a copy of each into a folder under the name that readers look for.

    Readers look at the folder at each handshake, so it may be written while they use it.

    Args:
        directory: of the CA.
        folder: made when missing.
        password: of the CA's keys.

    Returns:
        The copies, `<hash>.r0` each.

    Raises:
        ConfigError: the CA or its list of what was revoked cannot be read.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    copies = []
    for level, path in enumerate(write_crls(directory, password=password)):
        ca = x509.load_pem_x509_certificate(names.ca_certificate(directory, level).read_bytes())
        copy = folder / f"{name_hash(ca.subject)}.r0"
        storage.write_file(copy, path.read_bytes(), storage.PUBLIC)
        copies.append(copy)
    return copies


def name_hash(name: x509.Name) -> str:
    """The eight hexadecimal digits that `openssl x509 -subject_hash` prints for a name.

    They are of the SHA-1 of its canonical form: every value a UTF8String in lower case, without blanks
    around it and with single ones within, and the sequence around the parts left out (OpenSSL's
    `X509_NAME_hash`).
    """
    encoded = b"".join(_wrapped(_SET, b"".join(sorted(map(_part, rdn)))) for rdn in name.rdns)
    digest = hashlib.sha1(encoded, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _part(attribute: x509.NameAttribute[str | bytes]) -> bytes:
    value = attribute.value
    text = " ".join((value if isinstance(value, str) else value.decode("latin-1")).lower().split())
    # The OID as the library encodes it, out of a name with nothing else in it: behind three headers.
    oid = x509.Name([x509.NameAttribute(attribute.oid, "XX")]).public_bytes()[6:]
    oid = oid[: 2 + oid[1]]
    return _wrapped(_SEQUENCE, oid + _wrapped(_UTF8_STRING, text.encode()))


def _wrapped(tag: int, content: bytes) -> bytes:
    """DER: a tag, a length and the content [X.690 8.1]."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
