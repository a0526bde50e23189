"""What brokers are known to be set to, held against the rule by which a run names their users."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from loadgen.broker.folder import ClusterFolder
from loadgen.broker.management import ManagementError
from loadgen.broker.state import FILE
from loadgen.errors import Problem
from loadgen.identity.alternative_names import OTHER_NAME
from loadgen.identity.login import DISTINGUISHED_NAME, SAN, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from loadgen.broker.management import Management
    from loadgen.identity.login import LoginRule

_IGNORES_COLONS = re.compile(r"ignore_colons_in_username\s*,\s*true")
_FORBIDDEN = (401, 403)
_BROKEN_OTP = 29
"""From this Erlang/OTP on RabbitMQ fails over other names; measured with 4.3.6."""


def local_problems(target_file: Path, rule: LoginRule) -> list[Problem]:
    """Compare a rule with the configuration of the local cluster that a target file is of, if it is of one.

    It is read from the file that the nodes were started with; what `rabbitmqctl` changed since is not seen.

    Args:
        target_file: where the target comes from; beside it is the cluster's state.
        rule: what the target says of the brokers.

    Raises:
        BrokerError: the state beside it is damaged.
    """
    folder = ClusterFolder(target_file.parent)
    if not (folder.directory / FILE).exists():
        return []
    node = folder.directory / folder.load().nodes[0].name
    try:
        conf = (node / "rabbitmq.conf").read_text(encoding="utf-8")
        advanced = (node / "advanced.config").read_text(encoding="utf-8")
    except OSError:
        return []  # it was never brought up
    return list(compare_conf(read_conf(conf), advanced, rule, str(node / "rabbitmq.conf")))


def read_conf(text: str) -> dict[str, str]:
    """The keys of a rabbitmq.conf with their values, the last of each."""
    lines = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, equals, value in lines if equals}


def compare_conf(conf: Mapping[str, str], advanced: str, rule: LoginRule, where: str) -> Iterator[Problem]:
    """Find where a rule is not what a broker's configuration says, and what in that lets too many in.

    Args:
        conf: keys of rabbitmq.conf; what is left out has RabbitMQ's default.
        advanced: the text of advanced.config.
        rule: what the target says.
        where: the file's name, for messages.
    """
    if conf.get("mqtt.ssl_cert_login", "false") != "true":
        what = "mqtt.ssl_cert_login is off: the brokers take no name from certificates"
        yield Problem(where, what, "set mqtt.ssl_cert_login = true")
    login = conf.get("ssl_cert_login_from", DISTINGUISHED_NAME).replace("subject_alt_name", SAN)
    user = _source(login, conf, "ssl_cert_login_san")
    if user != rule.user:
        yield _differs(where, f"users are named by {user}", f"{rule.user}", "login")
    by = conf.get("mqtt.ssl_cert_client_id_from")
    client_id = None if by is None else _source(by, conf, "mqtt.ssl_cert_login_san")
    if client_id != rule.client_id:
        is_set = f"client ids must be {client_id}" if client_id is not None else "client ids are not verified"
        says = str(rule.client_id) if rule.client_id is not None else "any"
        yield _differs(where, is_set, says, "client_id_from")
    vhost = conf.get("mqtt.vhost", "/")
    if vhost != rule.vhost:
        yield _differs(where, f"mqtt.vhost is {vhost}", rule.vhost, "login.vhost")
    colons = _IGNORES_COLONS.search(advanced) is not None
    if colons != rule.ignore_colons:
        is_set = f"ignore_colons_in_username is {str(colons).lower()}"
        yield _differs(where, is_set, str(rule.ignore_colons).lower(), "login.ignore_colons")
    if conf.get("mqtt.allow_anonymous", "true") != "false":
        what = "mqtt.allow_anonymous is on: whom no certificate names is let in as somebody else"
        yield Problem(where, what, "set mqtt.allow_anonymous = false", warning=True)
    if conf.get("ssl_options.verify") != "verify_peer" or "verify_none" in advanced:
        what = "ssl_options.verify is not verify_peer: any certificate will do, and none names a user"
        yield Problem(where, what, "set ssl_options.verify = verify_peer", warning=True)


async def api_problems(
    management: Management, rule: LoginRule, port: int, names: Collection[str]
) -> list[Problem]:
    """Compare a rule with what the management API tells: virtual hosts of certificates, and versions.

    Args:
        management: an API login; one that may not see global parameters tells less.
        rule: what the target says.
        port: of the brokers' MQTT listener.
        names: those that the brokers find in the clients' certificates.

    Raises:
        ManagementError: the API does not answer.
    """
    overview = await management.overview()
    found = list(compare_versions(overview, rule))
    try:
        parameters = await management.global_parameters()
    except ManagementError as error:
        if error.status not in _FORBIDDEN:
            raise
        return found
    return found + list(compare_parameters(parameters, rule, port, names))


def compare_versions(overview: Mapping[str, Any], rule: LoginRule) -> Iterator[Problem]:
    """Find what this RabbitMQ cannot do of a rule; `overview` is `/api/overview`."""
    version = str(overview.get("rabbitmq_version") or "")
    if rule.client_id is not None and version.startswith("3."):
        what = f"RabbitMQ {version} verifies no client ids: mqtt.ssl_cert_client_id_from is of 4.0"
        yield Problem("", what, "leave client_id_from out of the target", warning=True)
    erlang = str(overview.get("erlang_version") or "").partition(".")[0]
    kinds = {source.san_type for source in (rule.user, rule.client_id) if source and source.name == SAN}
    if OTHER_NAME in kinds and erlang.isdigit() and int(erlang) >= _BROKEN_OTP:
        what = f"RabbitMQ {version} with Erlang/OTP {erlang} closes connections over other names"
        yield Problem("", what, "take names of another type, or Erlang/OTP 27", warning=True)


def compare_parameters(
    parameters: Mapping[str, Any], rule: LoginRule, port: int, names: Collection[str]
) -> Iterator[Problem]:
    """Find where global runtime parameters give clients other virtual hosts than a rule does.

    Args:
        parameters: name → value.
        rule: what the target says.
        port: of the brokers' MQTT listener.
        names: those that the brokers find in the clients' certificates.
    """
    vhosts = _texts(parameters.get("mqtt_default_vhosts"))
    others = sorted(name for name in names if vhosts.get(name) != rule.default_vhosts.get(name))
    if others:
        there, here = (where.get(others[0], "none") for where in (vhosts, rule.default_vhosts))
        more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
        what = f"mqtt_default_vhosts has {there} for {others[0]!r}, and the target has {here}{more}"
        yield Problem("", what, "write login.default_vhosts of the target as the brokers have it")
    by_port = _texts(parameters.get("mqtt_port_to_vhost_mapping")).get(str(port))
    if by_port is not None and by_port != rule.vhost:
        what = f"mqtt_port_to_vhost_mapping has virtual host {by_port!r} for port {port}"
        yield _differs("", what, rule.vhost, "login.vhost")


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _source(name: str, conf: Mapping[str, str], san: str) -> Source:
    if name != SAN:
        return Source(name)
    return Source(name, conf.get(f"{san}_type", "dns"), int(conf.get(f"{san}_index", "0")))


def _differs(where: str, is_set: str, says: str, key: str) -> Problem:
    return Problem(
        where, f"{is_set}, and the target says {says}", f"mend {key} of the target, or the brokers"
    )
