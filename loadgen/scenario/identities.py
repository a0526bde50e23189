"""The `identities:` section: whose certificates the clients carry."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from loadgen.scenario.base import Positive, Strict, Text, malformed
from loadgen.scenario.template import IdentityTemplate
from loadgen.scenario.units import NS_PER_S, PositiveDuration


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

    def by_type(self) -> dict[str, tuple[IdentityTemplate, ...]]:
        """Give the templates by the type names that `{san.TYPE}` uses."""
        return {"dns": self.dns, "ip": self.ip, "email": self.email, "uri": self.uri}


class Issue(Strict):
    """Certificates that loadgen issues from its own throw-away CA."""

    count: Positive
    """How many."""
    common_name: IdentityTemplate
    """Subject common name; `{index}` counts from 0."""
    organization: Text | None = None
    """Subject organization."""
    san: SanTemplates = SanTemplates()
    """Subject alternative names."""
    key: Literal["ec-p256", "rsa-2048"] = "ec-p256"
    """Kind of key; an RSA key costs about 200 times the time to make."""
    valid_for: PositiveDuration = 365 * 86_400 * NS_PER_S
    """Validity from now."""
    out: Text = "certs/out"
    """Folder of the CA and of the certificates and keys, relative to the working directory."""


class Directory(Strict):
    """Certificates that are there already, named as tls-gen names them.

    `client_NAME_certificate.pem` beside `client_NAME_key.pem`.
    """

    path: Text
    """The folder, relative to the working directory."""
    names: IdentityTemplate | None = None
    """Which NAMEs and in which order; all pairs sorted by name when left out."""


class IdentitySet(Strict):
    """One set of identities: issued by loadgen, or read from a folder."""

    issue: Issue | None = None
    """Issue them."""
    directory: Directory | None = None
    """Read them."""

    @model_validator(mode="after")
    def _exactly_one(self) -> IdentitySet:
        if (self.issue is None) == (self.directory is None):
            raise malformed(
                "needs exactly one of issue and directory",
                'write issue: {count: 100, common_name: "dev{index:05d}"} or directory: {path: certs/out}',
            )
        return self
