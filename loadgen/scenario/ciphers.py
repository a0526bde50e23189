"""Names of TLS 1.2 cipher suites, held against the OpenSSL that will use them."""

from __future__ import annotations

import ssl
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from loadgen.scenario.base import malformed

_LIST = "list them with: openssl ciphers -s -tls1_2"


def parse_cipher(value: object) -> str:
    """Check the name of one cipher suite of TLS 1.2, as OpenSSL spells it.

    Raises:
        PydanticCustomError: no such suite, or one of TLS 1.3, which Python cannot choose.
    """
    if not isinstance(value, str) or not value or not value.replace("-", "").isalnum():
        if isinstance(value, str) and value.startswith("TLS_"):
            raise malformed(
                f"{value} is a suite of TLS 1.3, and Python before 3.15 cannot choose among those",
                'leave it out, or write versions: ["1.2"] with suites of TLS 1.2',
            )
        raise malformed(f'"{value}" is no name of a cipher suite', _LIST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.set_ciphers(value)
    except ssl.SSLError:
        raise malformed(f'this OpenSSL has no cipher suite "{value}"', _LIST) from None
    if value not in {each["name"] for each in context.get_ciphers()}:
        raise malformed(f'"{value}" stands for several cipher suites', f"name one; {_LIST}")
    return value


CipherField = Annotated[
    str,
    PlainValidator(parse_cipher),
    WithJsonSchema({"type": "string", "examples": ["ECDHE-ECDSA-AES128-GCM-SHA256"]}),
]
"""A cipher suite of TLS 1.2 in a model."""
