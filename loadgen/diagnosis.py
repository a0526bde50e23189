"""What a failed connection to the target means, in plain words, and what the reader can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loadgen.identity.login import user_name
from loadgen.reason_codes import REASONS

if TYPE_CHECKING:
    from loadgen.places import Places
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import TargetSettings

_URIS = "target.uris"
_TLS = "target.tls"


class Diagnosis(NamedTuple):
    """One cause."""

    key: str
    """The key of the scenario that most likely is to blame, dotted."""
    what: str
    mend: str


def diagnose(
    target: TargetSettings, node: int, client: ClientPlan, *, phase: str, cause: str, places: Places | None
) -> Diagnosis:
    """Explain a connection to node number `node` that did not come to CONNACK 0x00.

    Args:
        target: where the connection went.
        node: number of the node in it.
        client: as whom it was made.
        phase: where it ended: tcp, tls or connack.
        cause: as `loadgen.engine.transport.cause_of`, or `refused:0x86`, or `not-mqtt`.
        places: for the names of the files in what is to be done.
    """
    if phase == "tcp":
        return Diagnosis(_URIS, _TCP.get(cause, f"TCP: {cause}"), _TCP_MENDS.get(cause, _CHECK_URIS))
    if cause.startswith(("certificate:", "tls:certificate_verify_failed")) or "alert" in cause:
        return _certificates(target, node, client, cause)
    if phase == "tls":
        return _no_handshake(target, cause)
    if cause.startswith("refused:"):
        return _refused(target, client, int(cause.removeprefix("refused:"), 16), places)
    return _no_connack(client, cause)


_CHECK_URIS = "check the addresses, and that the broker runs (loadgen cluster status)"
_TCP = {
    "refused": "connection refused: nothing listens there",
    "timeout": "no answer to the TCP connection within target.timeouts.tcp",
    "unreachable": "no route to this host",
    "dns": "the name cannot be resolved",
    "closed": "the connection was closed at once",
    "reset": "the connection was reset at once",
    "no-descriptors": "no file descriptor is left for a connection",
    "no-ports": "no local port is left for a connection",
}
_TCP_MENDS = {
    "timeout": "check the addresses, and whether a firewall drops packets to them",
    "dns": "check the spelling of the host, or write its address",
    "no-descriptors": "raise the limit: ulimit -n",
    "no-ports": "widen net.ipv4.ip_local_port_range, or wait for old connections to end",
}


def _certificates(target: TargetSettings, node: int, client: ClientPlan, cause: str) -> Diagnosis:
    if cause.startswith("certificate:"):
        reason = cause.removeprefix("certificate:")
        return Diagnosis("identities", f"our certificate cannot be used: {reason}", "loadgen certs verify")
    if "alert" in cause:
        return _alert(client, cause.removeprefix("tls:"))
    return _unverified(target, node, cause.removeprefix("tls:certificate_verify_failed:"))


def _unverified(target: TargetSettings, node: int, reason: str) -> Diagnosis:
    host = target.server_name or target.nodes[node][0]
    if "mismatch" in reason or "not valid for" in reason:
        return Diagnosis(
            f"{_TLS}.server_name",
            f"the broker's certificate is not for {host!r}",
            "use a name that stands in the certificate, or set target.tls.server_name to one",
        )
    if "expired" in reason:
        return Diagnosis(_TLS, "the broker's certificate has expired", "renew it on the broker")
    if "not yet valid" in reason:
        return Diagnosis(_TLS, "the broker's certificate is not yet valid", "compare the machines' clocks")
    ca = target.ca or "a CA of this system"
    return Diagnosis(
        f"{_TLS}.ca",
        f"the broker's certificate is not signed by {ca} ({reason})",
        "name the CA that signed it in target.tls.ca",
    )


# OpenSSL's name of an alert begins with the TLS version it came in: tlsv1_alert_…, tlsv13_alert_… and so on.
_ALERTS = {
    "unknown_ca": "it does not trust the CA of our certificate",
    "certificate_expired": "it says that our certificate has expired",
    "certificate_revoked": "it says that our certificate is revoked",
    "certificate_unknown": "it does not accept our certificate",
    "bad_certificate": "it does not accept our certificate",
    "unsupported_certificate": "it does not accept certificates of this kind",
    "certificate_required": "it saw no certificate of ours",
    "decrypt_error": "it could not verify our certificate's signature",
    "access_denied": "it denies our certificate access",
}


def _alert(client: ClientPlan, alert: str) -> Diagnosis:
    for word, meaning in _ALERTS.items():
        if alert.endswith(word):
            return Diagnosis(
                "identities",
                f"the broker refuses the certificate of client {client.client_id!r}: {meaning} (TLS alert "
                f"{word})",
                "issue it with a CA that the broker trusts (ssl_options.cacertfile), and compare the clocks",
            )
    if alert.endswith("protocol_version"):
        return Diagnosis(
            f"{_TLS}.versions", "the broker speaks none of these TLS versions", 'offer ["1.2", "1.3"]'
        )
    if alert.endswith(("handshake_failure", "insufficient_security")):
        return Diagnosis(
            _TLS,
            f"the broker takes none of the cipher suites or groups that are offered (TLS alert {alert})",
            "leave out target.tls.ciphers and target.tls.group, or see the broker's ssl_options",
        )
    if alert.endswith("unrecognized_name"):
        return Diagnosis(
            f"{_TLS}.server_name",
            "the broker does not know this server name",
            "correct target.tls.server_name",
        )
    return Diagnosis(_TLS, f"the broker broke off the TLS handshake: {alert}", "see the broker's log")


def _no_handshake(target: TargetSettings, cause: str) -> Diagnosis:
    port = "MQTT over TLS is usually on port 8883: correct target.uris"
    if cause == "timeout":
        seconds = target.tls_timeout / 1e9
        return Diagnosis(
            _URIS,
            f"accepts connections but does not answer TLS within {seconds:g}s (target.timeouts.tls)",
            port,
        )
    if cause in ("closed", "reset"):
        return Diagnosis(_URIS, f"does not speak TLS: the connection was {cause} in the handshake", port)
    if "unsupported_protocol" in cause:
        return Diagnosis(
            f"{_TLS}.versions", "the broker speaks none of these TLS versions", 'offer ["1.2", "1.3"]'
        )
    return Diagnosis(_URIS, f"does not speak TLS ({cause.removeprefix('tls:').replace('_', ' ')})", port)


def _no_connack(client: ClientPlan, cause: str) -> Diagnosis:
    if cause in ("closed", "reset"):
        # A TLS 1.3 broker checks our certificate after we count as connected, and its alert may be overtaken.
        return Diagnosis(
            _URIS,
            f"speaks TLS but {cause} the connection instead of answering CONNECT: no MQTT broker, or one "
            f"that refuses the certificate of client {client.client_id!r}",
            "check that the port is MQTT's and that the broker trusts the identities' CA, and see its log",
        )
    how = {
        "timeout": "gives no answer to CONNECT",
        "not-mqtt": "answers CONNECT with something else than MQTT 5",
    }.get(cause, f"does not answer CONNECT as MQTT 5 wants it ({cause})")
    return Diagnosis(
        _URIS, f"speaks TLS but {how}", "name the MQTT port in target.uris, not that of another protocol"
    )


def _refused(target: TargetSettings, client: ClientPlan, code: int, places: Places | None) -> Diagnosis:
    user = user_name(client.identity, target.login)
    provision = f"run `{places.command('provision') if places else 'loadgen provision SCENARIO'}`"
    refuses = f"refuses client {client.client_id!r} with 0x{code:02X} ({REASONS.get(code, 'unknown code')})"
    if code == 0x86:
        why, mend = f"user {user!r} is probably not known", provision
        if not user:
            why, mend = f"its certificate has no {target.login.user}", "mend login of the target or add it"
        return Diagnosis(
            "identities",
            f"{refuses}: {why}",
            f"{mend}, and check that the broker has mqtt.ssl_cert_login = true",
        )
    if code == 0x87:
        return Diagnosis("identities", f"{refuses}: user {user!r} has no permission", provision)
    if code == 0x85:
        return Diagnosis(
            f"groups.{client.group}.client_id",
            f"{refuses}: it is not the id that the certificate names",
            "the broker checks them (mqtt.ssl_cert_client_id_from): use {cn} or a name such as {san.dns}",
        )
    if code == 0x84:
        return Diagnosis(_URIS, refuses, "loadgen speaks MQTT 5, which RabbitMQ knows from 3.13 on")
    if code == 0x97:
        return Diagnosis(_URIS, refuses, "raise the connection limit of the user, virtual host or node")
    return Diagnosis(_URIS, refuses, "see the broker's log")
