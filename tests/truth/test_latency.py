"""Latency is what it is: a known delay is measured as that delay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.delay_proxy import DelayProxy
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from tests.truth.bench import Bench, Finished

DELAY_S = 0.05
"""Each way, so that a round trip takes twice this."""
TOLERANCE_S = 0.002


def test_a_proxy_of_50_ms_each_way_is_measured_within_2_ms(bench: Bench) -> None:
    async def main() -> tuple[Finished, float]:
        async with (
            FakeBroker(ssl=bench.server_tls()) as broker,
            DelayProxy("127.0.0.1", broker.port, DELAY_S) as proxy,
        ):
            scenario = bench.scenario(
                f"mqtts://127.0.0.1:{proxy.port}",
                {
                    "sensors": {
                        "clients": 10,
                        "publish": {"topic": "truth/{index}", "qos": 1, "rate": "5/s", "payload": "64B"},
                    },
                    "monitors": {"clients": 10, "subscribe": {"filter": "truth/{index}", "qos": 1}},
                },
                [
                    {"name": "connect", "connect": "20/s"},
                    {"name": "steady", "hold": "3s"},
                    {"name": "drain", "drain": "2s"},
                ],
            )
            return await bench.command(scenario, "--workers", "1"), proxy.mean_late_s

    finished, late = run_on_fast_loop(main())
    assert finished.code == 0, finished.result["reasons"]
    metrics = finished.result["metrics"]
    service = 2 * (DELAY_S + late)
    # Counted from the intended time, a message's way begins with our own lateness, which is really there.
    response = service + metrics["send_lag"]["p50"]
    truths = {"publish_service_time": service, "publish_latency": response, "delivery_latency": response}
    for name, truth in truths.items():
        assert metrics[name]["count"] == 150
        assert metrics[name]["p50"] == pytest.approx(truth, abs=TOLERANCE_S), name
        # Nothing can be faster than the proxy: a smaller value would be a wrong clock or a wrong pair.
        assert metrics[name]["min"] >= 2 * DELAY_S - 1e-4, name
    # The phases of connecting see the same wire: the proxy takes TCP itself, TLS 1.3 needs one round trip,
    # CONNECT one and SUBSCRIBE one.
    for name in ("tls_handshake", "mqtt_connect", "subscribe_time"):
        assert 2 * DELAY_S <= metrics[name]["p50"] <= 3 * DELAY_S, name
