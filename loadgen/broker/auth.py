"""Ways to set a cluster up for certificates: what becomes the user name, and what must be the client id."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, get_args

from loadgen.identity.alternative_names import OTHER_NAME
from loadgen.identity.login import COMMON_NAME, DISTINGUISHED_NAME, SAN, LoginRule, Source

AuthKind = Literal["cn", "dn", "san-dns", "san-uri", "san-email", "san-other-name"]
KINDS: tuple[AuthKind, ...] = get_args(AuthKind)

_USER: dict[AuthKind, Source] = {
    "cn": Source(COMMON_NAME),
    "dn": Source(DISTINGUISHED_NAME),
    "san-dns": Source(SAN, "dns"),
    "san-uri": Source(SAN, "uri"),
    "san-email": Source(SAN, "email"),
    "san-other-name": Source(SAN, OTHER_NAME),
}


@dataclass(frozen=True, slots=True)
class Auth:
    """One way, as `loadgen cluster up --auth` names it."""

    kind: AuthKind = "cn"
    """What becomes the user name: the common name, the subject, or the first alternative name of a type."""
    verify_client_id: bool = False
    """Whether the client id must be the same name; with `cn`, where RabbitMQ cannot, the first DNS name."""

    check_crl: bool = False
    """Whether the nodes refuse certificates that the CA's CRL lists."""

    @property
    def rule(self) -> LoginRule:
        """The brokers' rule, for predictions.

        Every URI has a colon, which would part virtual host and user, so with `san-uri` colons are ignored.
        """
        user = _USER[self.kind]
        client_id = Source(SAN, "dns") if user.name == COMMON_NAME else user
        return LoginRule(
            user, client_id if self.verify_client_id else None, ignore_colons=self.kind == "san-uri"
        )

    def conf(self) -> list[str]:
        """The lines of rabbitmq.conf; all keys are those of RabbitMQ 4.0 to 4.3."""
        rule = self.rule
        lines = [f"ssl_cert_login_from = {rule.user.name}"]
        if rule.user.name == SAN:
            lines += [
                f"ssl_cert_login_san_type = {rule.user.san_type}",
                f"ssl_cert_login_san_index = {rule.user.san_index}",
            ]
        if rule.client_id is not None:
            lines.append(f"mqtt.ssl_cert_client_id_from = {rule.client_id.name}")
            if rule.client_id.name == SAN:
                # Despite their names these two are the client id's.
                lines += [
                    f"mqtt.ssl_cert_login_san_type = {rule.client_id.san_type}",
                    f"mqtt.ssl_cert_login_san_index = {rule.client_id.san_index}",
                ]
        return lines

    def advanced_conf(self, tls: str) -> str:
        """The content of advanced.config, for what rabbitmq.conf has no key for.

        Args:
            tls: the folder of certificates, as the nodes see it.
        """
        settings = []
        if self.rule.ignore_colons:
            settings.append("{rabbitmq_mqtt, [{ignore_colons_in_username, true}]}")
        if self.check_crl:
            settings.append(_WITH_CRL.replace("TLS", tls))
        return f"[{', '.join(settings)}].\n"

    def target(self) -> str:
        """The lines of a target file that tell a run of it, in YAML."""
        rule = self.rule
        login = _source(rule.user) | ({"ignore_colons": True} if rule.ignore_colons else {})
        lines = f"login: {json.dumps(login)}\n"
        if rule.client_id is not None:
            lines += f"client_id_from: {json.dumps(_source(rule.client_id))}\n"
        return lines

    def __str__(self) -> str:
        """In words, such as `users by SAN dns 0, client ids verified`."""
        rule = self.rule
        verified = "" if rule.client_id is None else f", client ids verified by {rule.client_id}"
        return f"users by {rule.user}{verified}{', CRL checked' if self.check_crl else ''}"


_WITH_CRL = """{rabbit, [{ssl_options, [
  {cacertfile, "TLS/ca_certificate.pem"},
  {certfile, "TLS/server_certificate.pem"},
  {keyfile, "TLS/server_key.pem"},
  {verify, verify_peer}, {fail_if_no_peer_cert, true}, {depth, 2}, {versions, ['tlsv1.3', 'tlsv1.2']},
  {crl_check, peer}, {crl_cache, {ssl_crl_hash_dir, {internal, [{dir, "TLS/crl"}]}}}
]}]}"""
"""These options take the place of all `ssl_options` in rabbitmq.conf, so they repeat them; rabbitmq.conf has
`ssl_options.crl_check` but no key for where the CRLs are."""


def _source(source: Source) -> dict[str, str | int | bool]:
    found: dict[str, str | int | bool] = {"from": source.name}
    return (
        found | {"san_type": source.san_type, "san_index": source.san_index} if source.name == SAN else found
    )
