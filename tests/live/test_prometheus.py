"""The Prometheus endpoint, read by Prometheus' own parsers."""

from __future__ import annotations

import math
import re
import socket
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from loadgen.errors import ConfigError
from loadgen.live.board import Board
from loadgen.live.families import Family, families
from loadgen.live.prometheus import PrometheusEndpoint, RunCollector
from loadgen.live.totals import BOUNDS, MOST_GROUPS, OTHERS, TotalsReader
from loadgen.metrics.catalog import CODES, COUNTERS, HISTOGRAMS
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.packed import pack
from tests.live.boards import LATENCIES, RESULT, SUBJECT, board, tally

if TYPE_CHECKING:
    from prometheus_client import Metric


def exposed(shown: Board) -> dict[str, Metric]:
    registry = CollectorRegistry()
    registry.register(RunCollector(shown))
    plain = {metric.name: metric for metric in parse(generate_latest(registry).decode())}
    text = openmetrics.generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    found = parse_openmetrics(text)  # type: ignore[no-untyped-call]
    strict: dict[str, Metric] = {metric.name: metric for metric in found}
    assert {metric.type for metric in strict.values()} <= {"counter", "gauge", "histogram", "info"}
    for name, metric in strict.items():
        told = plain[f"{name}_info" if metric.type == "info" else name]
        assert [(s.name, s.labels, s.value) for s in told.samples] == [
            (s.name, s.labels, s.value) for s in metric.samples
        ]
    return strict


def value(family: Metric, name: str = "", **labels: str) -> float:
    (found,) = (
        sample.value
        for sample in family.samples
        if sample.name == (name or family.name) and labels.items() <= sample.labels.items()
    )
    return float(found)


def test_histograms_are_cumulative_and_exact() -> None:
    metric = exposed(board())["loadgen_publish_latency_seconds"]
    assert (metric.type, metric.unit) == ("histogram", "seconds")
    for stage, all_samples in LATENCIES.items():
        samples = [each for each in all_samples if each >= 0]
        found = [
            (float(s.labels["le"]), s.value)
            for s in metric.samples
            if s.name.endswith("_bucket") and s.labels["stage"] == stage
        ]
        assert found == [
            (bound, sum(each <= bound * 1e9 for each in samples)) for bound in (*BOUNDS, math.inf)
        ]
        where = {"group": "sensors", "stage": stage}
        assert value(metric, f"{metric.name}_count", **where) == len(samples)
        assert value(metric, f"{metric.name}_sum", **where) == pytest.approx(sum(samples) / 1e9)


def test_counters_gauges_and_codes() -> None:
    found = exposed(board())
    published, sent = found["loadgen_published"], found["loadgen_sent_bytes"]
    assert value(published, "loadgen_published_total", stage="steady", group="sensors") == 6
    assert value(published, "loadgen_published_total", stage="drain", group="dash") == 0
    assert value(sent, "loadgen_sent_bytes_total", stage="steady", group="sensors") == 600
    codes = found["loadgen_connack_codes"]
    assert value(codes, "loadgen_connack_codes_total", code="0x86", stage="steady") == 2
    out = found["loadgen_samples_out_of_range"]
    assert value(out, "loadgen_samples_out_of_range_total", metric="publish_latency") == 1
    assert value(found["loadgen_worker_cpu_seconds"], "loadgen_worker_cpu_seconds_total", worker="1") == 1.5
    assert value(found["loadgen_clients_connected"], group="sensors") == 100
    assert value(found["loadgen_node_clients_connected"], node="127.0.0.1:8883") == 100
    assert value(found["loadgen_stage_active"], stage="steady") == 1
    assert value(found["loadgen_stage_active"], stage="drain") == 0
    assert value(found["loadgen_stage_remaining_seconds"]) == 37
    assert value(found["loadgen_fault_active"], fault="kill") == 1
    assert value(found["loadgen_fault_active"], fault="slow") == 0
    assert value(found["loadgen_loop_lag_limit_seconds"]) == 0.2
    (info,) = found["loadgen_run"].samples
    assert info.labels == {"scenario": 'odd "name"\\', "version": "0.1.0"}


def test_the_verdict_comes_at_the_end() -> None:
    before, after = exposed(board()), exposed(board(RESULT))
    assert not before["loadgen_verdict"].samples
    assert not before["loadgen_ledger_messages"].samples
    verdicts = {s.labels["verdict"]: s.value for s in after["loadgen_verdict"].samples}
    assert verdicts == {"pass": 0, "fail": 1, "invalid": 0}
    assert value(after["loadgen_exit_code"]) == 99
    ledger = after["loadgen_ledger_messages"].samples
    assert {s.labels["class"]: s.value for s in ledger} == {"ok": 7, "lost": 2}
    assert not any(s.value for s in after["loadgen_stage_active"].samples)


def test_everything_in_the_catalog_is_exported_even_before_the_first_second() -> None:
    names = {family.name for family in families(Board(SUBJECT))}
    assert {f"loadgen_{name}_seconds" for name in HISTOGRAMS} <= names
    assert {f"loadgen_{family}" for family in CODES} <= names
    assert len([each for each in families(Board(SUBJECT)) if each.kind == "counter"]) > len(COUNTERS)
    assert exposed(Board(SUBJECT))


NOT_BASE = re.compile(
    r"(^|_)(milli|micro|nano|kilo|mega|giga)?(minutes|hours|days|weeks|milliseconds|microseconds|nanoseconds|"
    r"kilobytes|megabytes|gigabytes|bits|percent|ms|us|ns|sec|s|kb|mb|gb|b)(_|$)"
)


def lint(family: Family) -> list[str]:
    """What promtool's `check metrics` would say, and a little more."""
    name, kind = family.name, family.kind
    problems = []
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        problems.append("no snake case")
    if not family.help:
        problems.append("no help")
    if name.endswith(("_total", "_bucket", "_count", "_sum", "_info", "_created")):
        problems.append("a suffix that the type adds, or forbids")
    if re.search(r"_(counter|gauge|histogram|summary)(_|$)", name):
        problems.append("its type in its name")
    if NOT_BASE.search(name):
        problems.append("no base unit, or an abbreviated one")
    if family.unit in {"seconds", "bytes"} and not name.endswith(f"_{family.unit}"):
        problems.append("its unit does not end its name")
    if kind == "histogram" and not name.endswith("_seconds"):
        problems.append("a histogram of what?")
    odd = [each for each in family.labels if not re.fullmatch("[a-z_]+", each) or each == "le"]
    return problems + [f"label {each}" for each in odd]


def test_names_keep_to_the_rules_of_promtool() -> None:
    found = families(board(RESULT))
    assert not {family.name: problems for family in found if (problems := lint(family))}
    assert len({family.name for family in found}) == len(found)
    for bad in ("loadgenLag", "loadgen_lag_ms", "loadgen_lag_milliseconds", "loadgen_x_total", "a_gauge"):
        assert lint(Family(bad, "gauge", "words")), bad


def test_every_name_is_documented_with_its_labels() -> None:
    documents = (Path(__file__).parents[2] / "docs/live.md").read_text(encoding="utf-8")
    for family in families(Board(SUBJECT)):
        suffix = {"counter": "_total", "info": "_info"}.get(family.kind, "")
        labels = ", ".join(f"`{label}`" for label in family.labels)
        assert f"| `{family.name}{suffix}` | {labels} | {family.help} |" in documents


def test_beyond_so_many_groups_they_are_summed_up() -> None:
    found = tally()
    shown = TotalsReader(["dash"]).read(found.stages)
    assert shown.counters["published", OTHERS, "steady"] == 6
    assert shown.counters["connack_codes:0x86", "dash", "steady"] == 2
    assert shown.histograms["publish_latency", OTHERS, "steady"].count == 5
    assert shown.histograms["loop_lag", "", "steady"].count == 2
    many = type(SUBJECT)("x", "0", SUBJECT.stages, {f"g{n}": 1 for n in range(500)}, 0.1, 0.1)
    assert len(many.shown_groups) == MOST_GROUPS


def test_what_did_not_change_is_not_read_again() -> None:
    found = tally()
    reader = TotalsReader(["sensors"])
    first = reader.read(found.stages)
    place = "publish_latency", "sensors", "warm-up"
    assert reader.read(found.stages).histograms[place] is first.histograms[place]
    found.stages["warm-up"].histograms["publish_latency|sensors"].add(pack(Histogram((1,))))
    assert reader.read(found.stages).histograms[place].count == 3
    assert first.histograms[place].count == 2


def scrape(url: str, accept: str = "text/plain") -> tuple[str, str]:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def test_the_endpoint_serves_both_formats_and_waits_for_the_last_scrape() -> None:
    shown = board()
    with PrometheusEndpoint(shown, "127.0.0.1", 0) as endpoint:
        endpoint.wait_for_the_last_scrape(60)  # nobody scrapes: no waiting
        text, kind = scrape(endpoint.url)
        assert kind.startswith("text/plain")
        assert 'loadgen_published_total{group="sensors",stage="steady"} 6.0' in text
        text, kind = scrape(endpoint.url, "application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        endpoint.wait_for_the_last_scrape(0.1)  # it does not come
        shown.moment = board(RESULT).moment
        late = threading.Timer(0.2, scrape, (endpoint.url,))
        late.start()
        begun = time.monotonic()
        endpoint.wait_for_the_last_scrape(20)
        assert time.monotonic() - begun < 15
        late.join()
    with pytest.raises(OSError, match="refused"):
        scrape(endpoint.url)


def test_a_taken_port_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on 127\.0\.0\.1 port {port}.*another port"):
            PrometheusEndpoint(board(), "127.0.0.1", port)
    with pytest.raises(ConfigError, match="cannot listen on no-such-host"):
        PrometheusEndpoint(board(), "no-such-host.invalid", 0)
