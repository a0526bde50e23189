from __future__ import annotations

import socket

import pytest

from loadgen.broker import ports
from loadgen.errors import BrokerError


def test_every_taken_endpoint_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.2", 0)) as two:
        taken = [one.getsockname()[:2], two.getsockname()[:2]]
        assert ports.accepts(*taken[0])
        with pytest.raises(BrokerError) as caught:
            ports.require_free(taken)
    for address, port in taken:
        assert f"{address}:{port} is in use" in str(caught.value)
    ports.require_free(taken)
    assert not ports.accepts(*taken[0])


def test_an_address_of_another_machine_is_a_problem() -> None:
    assert "192.0.2.1:8883" in str(ports.problem_with("192.0.2.1", 8883))  # TEST-NET-1, RFC 5737


def test_a_block_skips_ports_in_use_and_stays_below_those_of_outgoing_connections() -> None:
    first = ports.internal_block(4, 8883)
    with socket.create_server(("127.0.0.1", first + 2)):
        second = ports.internal_block(4, 8883)
    assert not {*range(first, first + 4)} & {*range(second, second + 4)}
    assert max(first, second) + 4 < 32_768


def test_clusters_that_start_together_find_ports_of_their_own() -> None:
    blocks = [ports.internal_block(4, mqtt_port) for mqtt_port in (8883, 8884, 9003)]
    taken = {port for first in blocks for port in range(first, first + 4)}
    assert len(taken) == 3 * 4
