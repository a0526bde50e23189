from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from loadgen.identity.subject import common_name, organization, rabbitmq_subject


def name(*parts: tuple[ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


CN, O, OU = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME  # noqa: E741


@pytest.mark.parametrize(
    ("cn", "o", "shown"),
    # What rabbit_cert_info:subject of RabbitMQ 4.3.6 gave for certificates with these names.
    [
        ("dev1", "client", "O=client,CN=dev1"),
        ("a/b", "client", "O=client,CN=a/b"),
        (" ", "client", "O=client,CN=\\ "),
        ('# a,b+"c;<d>\\~é ', "Ø=x", 'O=\\C3\\98=x,CN=\\# a\\,b\\+\\"c\\;\\<d\\>\\\\\\7E\\C3\\A9\\ '),
    ],
)
def test_the_subject_is_as_rabbitmq_shows_it(cn: str, o: str, shown: str) -> None:
    assert rabbitmq_subject(name((CN, cn), (O, o))) == shown


def test_parts_with_several_values_and_without_a_short_name() -> None:
    several = x509.Name(
        [
            x509.RelativeDistinguishedName([x509.NameAttribute(CN, "dev1")]),
            x509.RelativeDistinguishedName([x509.NameAttribute(OU, "a"), x509.NameAttribute(O, "b")]),
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.POSTAL_CODE, "1")]),
        ]
    )
    last, middle, first = rabbitmq_subject(several).split(",")
    assert (last, first) == ("2.5.4.17=1", "CN=dev1")
    assert set(middle.split("+")) == {"OU=a", "O=b"}


def test_several_common_names_are_joined() -> None:
    assert common_name(name((CN, "a"), (CN, "b"))) == "a,b"
    assert common_name(name((O, "o"))) == ""
    assert organization(name((CN, "a"))) == ""
    assert organization(name((O, "o"))) == "o"
