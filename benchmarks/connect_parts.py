"""What a connect spends its CPU on, measured piece by piece in a process of its own, without a network."""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path

from benchmarks.figures import BenchmarkError
from benchmarks.process import run
from loadgen.identity.directory import read_directory
from loadgen.identity.tls import IdentityContexts


def measure(certs: Path, server: str, clients: int) -> dict[str, float]:
    """CPU seconds of each part, the mean over `clients` identities of the folder `certs`."""
    ended = run([sys.executable, "-m", "benchmarks.connect_parts", str(certs), server, str(clients)])
    if ended.code:
        raise BenchmarkError(f"connect parts: {ended.output}")
    found: dict[str, float] = json.loads(ended.output.splitlines()[-1])
    return found


def _parts(certs: Path, server: str, clients: int) -> dict[str, float]:
    identities = read_directory(certs, [f"bench{index:05d}" for index in range(clients)])
    contexts = IdentityContexts(certs / "ca_certificate.pem")
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(certs / f"server_{server}_certificate.pem", certs / f"server_{server}_key.pem")
    accepting.load_verify_locations(certs / "ca_certificate.pem")
    accepting.verify_mode = ssl.CERT_REQUIRED
    load = handshake = 0
    for identity in identities:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = accepting.wrap_bio(to_server, to_client, server_side=True)
        began = time.thread_time_ns()
        context = contexts.for_identity(identity)
        loaded = time.thread_time_ns()
        client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
        handshake += time.thread_time_ns() - loaded
        load += loaded - began
        handshake += _shake(client, peer)
    return {"load": load / clients / 1e9, "handshake": handshake / clients / 1e9}


def _shake(client: ssl.SSLObject, peer: ssl.SSLObject) -> int:
    """Shake hands in memory; nanoseconds of CPU of the client's half."""
    spent = 0
    for _ in range(4):
        began = time.thread_time_ns()
        done = _step(client)
        spent += time.thread_time_ns() - began
        if _step(peer) and done:
            return spent
    raise BenchmarkError("the handshake did not end")


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_parts(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))) + "\n")
