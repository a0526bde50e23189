from __future__ import annotations

from loadgen.identity.identity import Identity

IDENTITY = Identity(
    name="dev1",
    cn="dev1",
    serial="0A",
    organization="client",
    sans={"dns": ("a", "b"), "uri": ("urn:x",), "other_name": ("1.2.3=dev=1",)},
    subject_rabbitmq="O=client,CN=dev1",
    not_before=0.0,
    not_after=1.0,
    certificate_file="c",
    key_file="k",
    attributes={"ou": "fleet"},
    columns={"site": "north"},
)


def test_templates_get_flat_fields() -> None:
    assert IDENTITY.template_fields() == {
        "cn": "dev1",
        "serial": "0A",
        "o": "client",
        "ou": "fleet",
        "san.dns": "a",
        "san.dns.0": "a",
        "san.dns.1": "b",
        "san.uri": "urn:x",
        "san.uri.0": "urn:x",
        "san.other_name": "dev=1",
        "san.other_name.0": "dev=1",
        "csv.site": "north",
    }
