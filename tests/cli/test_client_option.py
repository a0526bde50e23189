"""`run --client aiomqtt`: a whole run, what its result says of it, and what is refused."""

from __future__ import annotations

import importlib.metadata
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from loadgen.cli import call
from loadgen.report.schema import RESULT_SCHEMA
from tests.cli.conftest import write_scenario
from tests.shipped import SCENARIOS, certificates_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Certs
    from tests.conftest import RabbitFactory

LIBRARY = "aiomqtt"
PATIENT = ("--set", "generator.send_lag=10s", "--set", "generator.loop_lag=10s")


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_both_clients_give_the_same_totals_on_the_embedded_broker(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    write_scenario(tmp_path, certs, 1)
    results: list[dict[str, Any]] = []
    for client in ("native", LIBRARY):
        arguments = ["--target", "embedded", "--workers", workers, "--client", client, *PATIENT]
        assert call(["run", "small.yaml", *arguments]) == 0
        results.append(json.loads((tmp_path / "runs/latest/result.json").read_text()))
    native, library = results
    jsonschema.validate(library, RESULT_SCHEMA, format_checker=jsonschema.FormatChecker())
    assert native["environment"]["client"] == "native"
    version = importlib.metadata.version(LIBRARY)
    assert library["environment"]["client"].startswith(f"{LIBRARY} {version} (paho-mqtt ")
    assert library["environment"]["tls"].startswith("TLSv1.3 ")
    for key in ("ledger", "codes"):
        assert library[key] == native[key]
    wire = {"bytes_sent", "bytes_received"}
    assert {key: library["totals"][key] for key in wire} == dict.fromkeys(wire)
    assert {k: v for k, v in library["totals"].items() if k not in wire} == {
        k: v for k, v in native["totals"].items() if k not in wire
    }
    for metric in ("tcp_connect", "tls_handshake", "mqtt_connect"):
        assert library["metrics"][metric]["count"] == 0
        assert library["metrics"][metric]["p99"] is None
    for metric in ("connect_time", "publish_latency", "delivery_latency", "send_lag"):
        assert library["metrics"][metric]["count"] == native["metrics"][metric]["count"] > 0
    view = library["broker"]["view"]
    assert view["ok"] == view["checked"] == 6
    told = capsys.readouterr().out
    assert told.count(f"the clients are those of {LIBRARY} {version}") == 1
    page = (tmp_path / "runs/latest/report.html").read_text(encoding="utf-8")
    assert f"{LIBRARY} {version}" in page


def test_a_library_that_is_missing_or_unknown_is_told_with_the_mend(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenario(tmp_path, certs, 1)

    def missing(_name: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    command = ["run", "small.yaml", "--target", "embedded", "--client", LIBRARY]
    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert call(command) == 104
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "3.0.1")
    assert call(command) == 104
    assert capsys.readouterr().err.splitlines() == [
        "error: --client aiomqtt: aiomqtt is not installed (pip install 'loadgen[aiomqtt]')",
        (
            "error: --client aiomqtt: aiomqtt 3.0.1 is installed, and loadgen knows 2.5.x "
            "(pip install 'loadgen[aiomqtt]')"
        ),
    ]
    assert call([*command[:-1], "paho"]) == 104
    assert not (tmp_path / "runs").exists()


def test_what_the_library_lacks_is_refused(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenario(tmp_path, certs, 1)
    aliases = ["--set", "groups.publishers.publish.topic_alias=true"]
    assert call(["run", "small.yaml", "--target", "embedded", "--client", LIBRARY, *aliases]) == 104
    assert capsys.readouterr().err == (
        "error: --client aiomqtt: aiomqtt keeps no topic aliases "
        "(leave topic_alias out, or use --client native)\n"
    )


@pytest.mark.rabbitmq
def test_on_three_real_nodes(rabbitmq_factory: RabbitFactory, tmp_path: Path) -> None:
    cluster = rabbitmq_factory("4.3")
    common = [
        *(str(SCENARIOS / "rabbitmq-smoke.yaml"), "--target", str(cluster.target_file)),
        *certificates_in("rabbitmq-smoke.yaml", cluster.certs),
        *("--set", "groups.sensors.clients=40", "--set", "groups.displays.clients=12"),
        *(
            "--set",
            "stages.warm-up.hold=1s",
            "--set",
            "stages.steady.hold=3s",
            "--set",
            "stages.peak.hold=1s",
        ),
    ]
    assert call(["provision", *common]) == 0
    assert call(["run", *common, "--client", LIBRARY, "--no-report", *PATIENT]) == 0
    result = json.loads((tmp_path / "runs/latest/result.json").read_text())
    totals, ledger, view = result["totals"], result["ledger"], result["broker"]["view"]
    assert result["verdict"] == "pass", result["reasons"]
    assert totals["connected"] == totals["clients"] == 60
    assert totals["delivered"] == totals["expected_deliveries"] > 0
    assert ledger["lost"] == ledger["unexpected"] == ledger["duplicate"] == 0
    # The broker itself saw each with its certificate's user and subject, MQTT 5, TLS and user properties.
    assert (view["checked"], view["ok"], view["mismatches"]) == (60, 60, [])
    assert sorted(view["by_node"].values()) == [20, 20, 20]
