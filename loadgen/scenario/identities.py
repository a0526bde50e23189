"""The `identities:` section: whose certificates the clients carry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from loadgen.scenario.base import Flag, Positive, Strict, Text, malformed
from loadgen.scenario.moments import Moment
from loadgen.scenario.secret import Secret
from loadgen.scenario.template import IdentityTemplate
from loadgen.scenario.units import NS_PER_S, PositiveDuration

KeyType = Literal["ec-p256", "ec-p384", "rsa-2048", "rsa-4096", "ed25519"]


class SanTemplates(Strict):
    """Subject alternative names of the certificates to issue, each a template, in this order."""

    dns: tuple[IdentityTemplate, ...] = ()
    """DNS names."""
    ip: tuple[IdentityTemplate, ...] = ()
    """IP addresses."""
    email: tuple[IdentityTemplate, ...] = ()
    """Mail addresses."""
    uri: tuple[IdentityTemplate, ...] = ()
    """URIs."""
    other_name: tuple[IdentityTemplate, ...] = ()
    """Other names, each `OID=TEXT`: `1.3.6.1.4.1.54392.5.436=dev{index}`."""

    def by_type(self) -> dict[str, tuple[IdentityTemplate, ...]]:
        """Give the templates by the type names that `{san.TYPE}` uses."""
        return {
            "dns": self.dns,
            "ip": self.ip,
            "email": self.email,
            "uri": self.uri,
            "other_name": self.other_name,
        }


class Issue(Strict):
    """Certificates that loadgen issues from its own throw-away CA."""

    count: Positive
    """How many."""
    common_name: IdentityTemplate
    """Subject common name; `{index}` counts from 0."""
    organization: IdentityTemplate | None = None
    """Subject organization (O)."""
    organizational_unit: IdentityTemplate | None = None
    """Subject organizational unit (OU)."""
    locality: IdentityTemplate | None = None
    """Subject locality (L)."""
    state: IdentityTemplate | None = None
    """Subject state or province (ST)."""
    country: IdentityTemplate | None = None
    """Subject country (C), two letters."""
    serial_number: IdentityTemplate | None = None
    """Subject serialNumber, the owner's; the certificate's own is made at random."""
    san: SanTemplates = SanTemplates()
    """Subject alternative names."""
    key: KeyType = "ec-p256"
    """Kind of key; an RSA key costs 1,000 times the time to make and more."""
    extended_key_usage: tuple[Literal["client_auth", "server_auth"], ...] = ("client_auth",)
    """What the certificate is good for; empty leaves the extension out."""
    valid_for: PositiveDuration = 365 * 86_400 * NS_PER_S
    """Validity from now, or from `not_before`."""
    not_before: Moment | None = None
    """Start of validity; five minutes ago when left out."""
    not_after: Moment | None = None
    """End of validity, in place of `valid_for`."""
    intermediates: Annotated[int, Field(strict=True, ge=0, le=5)] = 0
    """How many CAs stand between the root and the certificates."""
    revoked: Flag = False
    """Revoke them once they are issued; brokers that read the CA's CRL refuse them."""
    key_password: Secret | None = None
    """Password for the clients' keys; they are not encrypted when left out."""
    ca_password: Secret | None = None
    """Password of the CA's keys."""
    out: Text = "certs/out"
    """Folder of the CA and of the certificates and keys, relative to the working directory."""

    @model_validator(mode="after")
    def _one_end(self) -> Issue:
        # The default is no slip: the scenario as run has it written out.
        if self.not_after is not None and self.valid_for != Issue.model_fields["valid_for"].default:
            raise malformed("has both valid_for and not_after", "remove one of them")
        return self

    def subject_parts(self) -> dict[str, IdentityTemplate]:
        """Give the templates of the subject besides CN and O, by the template fields they become."""
        parts = {
            "ou": self.organizational_unit,
            "l": self.locality,
            "st": self.state,
            "c": self.country,
            "serial_number": self.serial_number,
        }
        return {key: template for key, template in parts.items() if template is not None}


class Directory(Strict):
    """Certificates that are there already, one file each.

    The layouts of tls-gen (`client_NAME_certificate.pem` beside `client_NAME_key.pem`), easy-rsa, cfssl and
    others are known.
    """

    path: Text
    """The folder, relative to the working directory."""
    names: IdentityTemplate | None = None
    """Which NAMEs and in which order; all pairs sorted by name when left out."""
    certificate: Text | None = None
    """Where the certificate of a name is, such as `"{name}/cert.pem"`; found out when left out."""
    key: Text | None = None
    """Where its key is."""
    key_password: Secret | None = None
    """Password of the keys."""
    ca: Text | None = None
    """PEM file of the CA that the brokers trust: every certificate must lead to it."""

    @model_validator(mode="after")
    def _both_patterns(self) -> Directory:
        if (self.certificate is None) != (self.key is None):
            raise malformed(
                "needs both certificate and key, or neither", 'write "{name}.crt" and "{name}.key"'
            )
        for pattern in (self.certificate, self.key):
            if pattern is not None and pattern.count("{name}") != 1:
                raise malformed(f'"{pattern}" must have {{name}} once', 'write for example "{name}.crt"')
        return self


class Csv(Strict):
    """Certificates that a CSV file lists, with other columns for templates: `{csv.site}`."""

    path: Text
    """The file: UTF-8 with a header; `certificate` and `key` are paths relative to it."""
    where: dict[Text, Text] = Field(default={})
    """Take only the rows with these values."""
    delimiter: Annotated[str, Field(strict=True, min_length=1, max_length=1)] = ","
    """Between values."""
    key_password: Secret | None = None
    """Password of the keys."""
    ca: Text | None = None
    """PEM file of the CA that the brokers trust: every certificate must lead to it."""


class Pkcs12(Strict):
    """Certificates and keys in PKCS#12 containers, one each."""

    path: Text
    """A `.p12` or `.pfx` file, or a folder of them."""
    names: IdentityTemplate | None = None
    """Which files of the folder (without suffix) and in which order; all sorted when left out."""
    password: Secret | None = None
    """Password of the containers."""
    ca: Text | None = None
    """PEM file of the CA that the brokers trust: every certificate must lead to it."""


class IdentitySet(Strict):
    """One set of identities: issued by loadgen, or read from where they are."""

    issue: Issue | None = None
    """Issue them."""
    directory: Directory | None = None
    """Read them from a folder."""
    csv: Csv | None = None
    """Read those that a CSV file lists."""
    pkcs12: Pkcs12 | None = None
    """Read them from PKCS#12 containers."""

    @model_validator(mode="after")
    def _exactly_one(self) -> IdentitySet:
        given = [each for each in (self.issue, self.directory, self.csv, self.pkcs12) if each is not None]
        if len(given) != 1:
            raise malformed(
                "needs exactly one of issue, directory, csv and pkcs12",
                'write issue: {count: 100, common_name: "dev{index:05d}"} or directory: {path: certs/out}',
            )
        return self
