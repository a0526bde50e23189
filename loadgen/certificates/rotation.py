"""A CA rotation: what the brokers and the clients are to trust before, in between and after."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from loadgen.broker.cluster import LocalCluster
from loadgen.broker.rotation import CommandTrust, LocalTrust
from loadgen.errors import BrokerError
from loadgen.identity import reading, storage
from loadgen.identity.alternative_names import plain_sans

if TYPE_CHECKING:
    from loadgen.broker.rotation import Trust
    from loadgen.certificates.steps import StepRun
    from loadgen.identity.authority import Authority
    from loadgen.scenario.target import Target

_IP = re.compile(r"[0-9.]+|.*:.*")


@dataclass(slots=True)
class Rotation:
    """The brokers' side of one rotation, and the files of CAs in its phases."""

    brokers: Trust
    both: Path
    """What brokers trust in between."""
    new: Path
    """What they trust in the end."""
    clients_both: Path | None
    """What clients trust in between; None when they check nothing, or the system's CAs."""
    clients_new: Path | None
    """What they trust in the end; None when that is what they trust in between."""
    certificate: Path
    """The brokers' certificate of the new CA."""
    key: Path


def prepare_rotation(step: StepRun, target: Target, old: Authority, new: Authority, folder: Path) -> Rotation:
    """Write what a rotation needs; no broker is told anything yet. Blocking.

    Raises:
        ConfigError: files cannot be read or written.
        BrokerError: there is no such cluster.
    """
    assert step.order is not None
    folder.mkdir(mode=0o700, exist_ok=True)
    cluster = local_cluster(target)
    names = (
        _server_names(target) if cluster is None else _names_in(cluster.ca.parent / "server_certificate.pem")
    )
    certificate, key = new.issue_server("rabbitmq", *names)
    trusted = old.certificate.read_bytes() if cluster is None else cluster.ca.read_bytes()
    both, alone = _swapped(trusted, old, new)
    paths = {"both": both, "new": alone}
    if target.tls.ca is not None:
        # Read before the first phase: it may be the very file that the brokers read.
        paths["clients-both"], paths["clients-new"] = _swapped(Path(target.tls.ca).read_bytes(), old, new)
    files = {name: folder / f"{name}.pem" for name in paths}
    with storage.exclusive(folder):
        for name, content in paths.items():
            storage.write_file(files[name], content, storage.PUBLIC)
    commands = step.order.commands
    brokers: Trust
    if commands is not None:
        environment = {
            "LOADGEN_OLD_CA": str(old.certificate.resolve()),
            "LOADGEN_NEW_CA": str(new.certificate.resolve()),
            "LOADGEN_BOTH_CAS": str(files["both"].resolve()),
            "LOADGEN_SERVER_CERTIFICATE": str(certificate.resolve()),
            "LOADGEN_SERVER_KEY": str(key.resolve()),
        }
        brokers = CommandTrust(commands.model_dump(), environment)
    elif cluster is not None:
        brokers = LocalTrust(cluster)
    else:
        raise BrokerError("nothing says how to change the brokers' trust", "write commands:")
    shows_new = commands is None or commands.show_new is not None
    return Rotation(
        brokers,
        files["both"],
        files["new"],
        files.get("clients-both"),
        files.get("clients-new") if shows_new else None,
        certificate,
        key,
    )


def local_cluster(target: Target) -> LocalCluster | None:
    """The local cluster that the target's `control` names."""
    control = target.control
    return LocalCluster(Path(control.local)) if control is not None and control.local is not None else None


def trusts(file: Path, authority: Authority) -> bool:
    """Whether a file of CA certificates holds this CA's root."""
    found = x509.load_pem_x509_certificates(file.read_bytes())
    return authority.root_fingerprint in {reading.fingerprint(each) for each in found}


def _swapped(trusted: bytes, old: Authority, new: Authority) -> tuple[bytes, bytes]:
    """What is trusted, with the new CA added; and the same without the old one."""
    added = new.certificate.read_bytes()
    kept = b"".join(
        each.public_bytes(Encoding.PEM)
        for each in x509.load_pem_x509_certificates(trusted)
        if reading.fingerprint(each) != old.root_fingerprint
    )
    return trusted.rstrip() + b"\n" + added, kept + added


def _server_names(target: Target) -> tuple[list[str], list[str]]:
    hosts = [uri.host for uri in target.uris]
    dns = [host for host in hosts if not _IP.fullmatch(host)]
    if target.tls.server_name is not None:
        dns.append(target.tls.server_name)
    return dns, [host for host in hosts if _IP.fullmatch(host)]


def _names_in(path: Path) -> tuple[list[str], list[str]]:
    """(DNS names, addresses) of the certificate that the brokers have."""
    certificate = reading.parse_certificate(path.read_bytes(), path)
    sans = plain_sans(reading.identity_of(certificate, path, path).sans)
    return list(sans.get("dns", ())), list(sans.get("ip", ()))
