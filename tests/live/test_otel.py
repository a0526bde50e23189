"""The export to OpenTelemetry: the SDK's own reader, and what goes over the wire."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from loadgen.cli import call
from loadgen.errors import ConfigError
from loadgen.live.board import Board
from loadgen.live.families import families
from loadgen.live.otel import OtelExport, instrument_name, open_provider
from loadgen.live.totals import BOUNDS
from tests.live.boards import LATENCIES, RESULT, SUBJECT, board
from tests.live.otlp_receiver import OtlpReceiver, attributes_of, metrics_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415

    for variable in [each for each in os.environ if each.startswith("OTEL_")]:
        monkeypatch.delenv(variable)


def observed(reader: InMemoryMetricReader) -> dict[str, dict[frozenset[tuple[str, Any]], float]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: {
            frozenset((point.attributes or {}).items()): point.value  # type: ignore[union-attr]
            for point in metric.data.data_points
        }
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def at(**attributes: str) -> frozenset[tuple[str, Any]]:
    return frozenset(attributes.items())


def test_instruments_give_what_the_board_shows_now() -> None:
    shown, reader = Board(SUBJECT), InMemoryMetricReader()
    provider = open_provider(shown, reader)
    before = observed(reader)
    assert before["loadgen.clients_planned"] == {at(group="sensors"): 100, at(group="dash"): 1}
    assert "loadgen.run_elapsed" not in before
    shown.moment = board().moment
    now = observed(reader)
    assert now["loadgen.published"][at(group="sensors", stage="steady")] == 6
    assert now["loadgen.sent_bytes"][at(group="sensors", stage="steady")] == 600
    assert now["loadgen.run_elapsed"] == {at(): 83.0}
    assert now["loadgen.worker_cpu"] == {at(worker="0"): 1.5, at(worker="1"): 1.5}
    assert now["loadgen.fault_active"][at(fault="kill", kind="kill")] == 1
    shown.moment = board(RESULT).moment
    assert observed(reader)["loadgen.verdict"][at(verdict="fail")] == 1
    provider.shutdown()


def test_kinds_and_units() -> None:
    reader = InMemoryMetricReader()
    provider = open_provider(board(), reader)
    data = reader.get_metrics_data()
    assert data is not None
    (resource,) = data.resource_metrics
    assert resource.resource.attributes["service.name"] == "loadgen"
    assert resource.resource.attributes["loadgen.scenario"] == SUBJECT.scenario
    units = {metric.name: metric.unit for metric in resource.scope_metrics[0].metrics}
    assert units["loadgen.worker_cpu"] == "s"
    assert units["loadgen.received"] == "{messages}"
    assert units["loadgen.worker_resident_memory_bytes"] == "By"
    kinds = {metric.name: type(metric.data).__name__ for metric in resource.scope_metrics[0].metrics}
    assert kinds["loadgen.published"] == "Sum"
    assert kinds["loadgen.clients_connected"] == "Gauge"
    names = [instrument_name(family) for family in families(board())]
    assert len(set(names)) == len(names)
    provider.shutdown()


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=mq")
    reader = InMemoryMetricReader()
    provider = open_provider(board(), reader)
    data = reader.get_metrics_data()
    assert data is not None
    attributes = data.resource_metrics[0].resource.attributes
    assert (attributes["service.name"], attributes["team"]) == ("nightly", "mq")
    provider.shutdown()


def test_everything_goes_over_the_wire_and_the_end_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = board()
    warnings: list[str] = []
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=not%20for%20logs")
        with OtelExport(shown, warnings.append):
            shown.moment = board(RESULT).moment
        assert not warnings
        (request,) = receiver.requests  # the interval is longer than that
        assert receiver.headers[0]["api-key"] == "not for logs"
    found = metrics_of(request)
    points = {
        (labels["group"], labels["stage"]): point
        for point in found["loadgen.publish_latency"].histogram.data_points
        for labels in (attributes_of(point),)
    }
    assert found["loadgen.publish_latency"].unit == "s"
    assert found["loadgen.publish_latency"].histogram.aggregation_temporality == 2  # cumulative
    for stage, all_samples in LATENCIES.items():
        samples = [each / 1e9 for each in all_samples if each >= 0]
        point = points["sensors", stage]
        assert (point.count, point.min, point.max) == (len(samples), min(samples), max(samples))
        assert point.sum == pytest.approx(sum(samples))
        assert tuple(point.explicit_bounds) == BOUNDS
        edges = (-1.0, *BOUNDS, float("inf"))
        assert list(point.bucket_counts) == [
            sum(low < each <= high for each in samples) for low, high in pairwise(edges)
        ]
    verdicts = {
        attributes_of(point)["verdict"]: point.as_double
        for point in found["loadgen.verdict"].gauge.data_points
    }
    assert verdicts == {"pass": 0, "fail": 1, "invalid": 0}


def test_trouble_with_the_receiver_is_told_once_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    with OtlpReceiver(status=400) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
        with OtelExport(board(), warnings.append):
            while len(receiver.requests) < 3:
                pass
    first, last = warnings
    assert first.startswith("OpenTelemetry: ")
    assert last == "OpenTelemetry: the last figures could not be delivered"


def test_another_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ConfigError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL is grpc.*unset"):
        OtelExport(board(), lambda _: None)


def test_without_the_extra_the_command_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(
        "name: s\ntarget: {kind: embedded}\n"
        "identities: {devices: {issue: {count: 1, common_name: x}}}\n"
        "groups: {g: {clients: 1, identity: devices, subscribe: {filter: a, qos: 0}}}\n"
        "stages: [{name: c, connect: 1/s}]\n"
    )
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    monkeypatch.delitem(sys.modules, "loadgen.live.otel")
    assert call(["run", "s.yaml", "--otel"]) == 104
    assert (
        "--otel: OpenTelemetry's SDK is not installed (pip install 'loadgen[otel]')"
        in capsys.readouterr().err
    )
