"""The JSON Schema of result.json, version 1: what other programs may rely on.

Times are seconds and sizes bytes unless a description says otherwise. Keys may be added within a version;
a key that is removed or changes its meaning makes a new version.
"""

from __future__ import annotations

from loadgen.report.schema_drift import DRIFT
from loadgen.report.schema_faults import FAULT, OUTSIDE
from loadgen.report.schema_parts import Schema, flag, listing, mapping, number, record, summary, text, whole

SCHEMA_VERSION = 1

_VERDICTS = ["pass", "fail", "invalid"]

_SCENARIO = record(
    "the experiment",
    {
        "name": text("the scenario's name"),
        "description": text("what the scenario is for; may be empty"),
        "file": text("the file it was read from", nullable=True),
        "seed": whole("seed of every random choice", minimum=None),
    },
    required=("name",),
)

_TOTALS = record(
    "sums over all clients and the whole run",
    {
        "clients": whole("clients of the plan"),
        "connected": whole("clients that were connected and subscribed at least once"),
        "refused": whole("clients that were never connected, in groups that expect a refusal"),
        "published": whole("publishes written to a socket"),
        "acknowledged": whole("publishes the broker promised to deliver (PUBACK below 0x80 and not 0x10)"),
        "delivered": whole("expected deliveries that arrived at least once; duplicates do not count"),
        "expected_deliveries": whole(
            "deliveries due for what was published: each message times its subscriptions"
        ),
        "received": whole("messages received by subscribers, duplicates included"),
        "planned_disconnects": whole(
            "connections ended because a client's lifetime was over, or for a certificate step"
        ),
        "wills_received": whole("of these: wills of clients that were gone without a DISCONNECT"),
        "retained_received": whole("of these: messages that the broker had retained from before"),
        "bytes_sent": whole(
            "bytes written to TCP; null when the client library does not tell", nullable=True
        ),
        "bytes_received": whole(
            "bytes read from TCP; null when the client library does not tell", nullable=True
        ),
    },
    required=("clients", "connected", "published", "acknowledged", "delivered", "expected_deliveries"),
)

_LEDGER = record(
    "every message of every publisher, once for each matching subscription; empty when the run was killed",
    {
        "ok": whole("acknowledged and delivered once; QoS 0 messages delivered once count here too"),
        "duplicate": whole("sent and delivered more than once"),
        "lost": whole("acknowledged and never delivered: the broker broke its promise"),
        "recovered": whole("not acknowledged, delivered once all the same"),
        "indeterminate": whole("not acknowledged and never delivered: allowed"),
        "unexpected": whole("delivered, though no publisher of this run had sent it"),
        "reordered": whole("delivered after a later message of the same publisher"),
        "not_attempted": whole("planned and never sent: dropped, or the client was away as planned"),
        "indeterminate_qos0": whole("of the indeterminate: QoS 0, so nothing was promised"),
        "session_gap": whole("of the indeterminate: acknowledged while the subscriber had no session"),
        "expired": whole("of the indeterminate: acknowledged, with a message expiry shorter than the run"),
        "unsettled": whole(
            "of the indeterminate: acknowledged, but no drain stage ended, so not called lost"
        ),
        "expected": whole("ok, duplicate, lost, recovered and indeterminate together"),
        "delivered": whole("of the expected: delivered at least once"),
        "pairs": whole("pairs of publisher and subscription looked at"),
        "unaccounted": whole("pairs left out because a worker was lost"),
        "settled": flag("true when a drain stage ended, so that what is missing is lost"),
        "worst": listing(
            "up to 20 pairs that lack the most messages",
            record(
                "a pair of publisher and subscriber",
                {
                    "publisher": whole("number of the publisher in the plan"),
                    "subscriber": whole("number of the subscriber in the plan"),
                    "lost": whole("messages lost between them"),
                    "missing": listing(
                        "ranges `[start, stop)` of sequence numbers lost, the first 20",
                        listing("one range", whole("sequence number")),
                    ),
                },
            ),
        ),
    },
    # A run that was killed has no ledger, and zeros would be a lie.
    anyOf=[
        {"required": ["ok", "duplicate", "lost", "recovered", "indeterminate", "unexpected", "reordered"]},
        {"maxProperties": 0},
    ],
)

_GROUP = record(
    "one group of clients",
    {
        "clients": whole("clients of the group"),
        "published": whole("publishes written to a socket"),
        "acknowledged": whole("publishes acknowledged"),
        "delivered": whole("messages of this run received, duplicates included"),
        "metrics": mapping("latencies of the group, by metric", summary("a latency distribution")),
    },
)

_STAGE = record(
    "one stage as it ran",
    {
        "name": text("the stage's name"),
        "kind": text("what it does", enum=["connect", "hold", "drain"]),
        "started_at_s": number("seconds since the start of the run", nullable=True),
        "duration": number("how long it took, seconds", nullable=True),
        "record": flag("false for a stage left out of the metrics, such as a warm-up"),
    },
    required=("name", "kind"),
)

_THRESHOLD = record(
    "one threshold and how it went",
    {
        "expression": text("as written, such as `p99 < 250ms`"),
        "metric": text("the metric it is about, with its selector"),
        "statistic": text("`p99`, `count`, `rate` …"),
        "value": number("what was measured: seconds, a count, or per second", nullable=True),
        "verdict": text(
            "invalid when there was no sample; warn when it does not hold, or has no sample, at level `warn`",
            enum=[*_VERDICTS, "warn"],
        ),
        "level": text("whether it counts for the run's verdict", enum=["fail", "warn"]),
        "reason": text("why it is not a pass; may be empty", nullable=True),
        "default": flag("true when loadgen added it (no lost messages, for one)"),
    },
    required=("expression", "value", "verdict"),
)

_EXPECTATION = record(
    "a group that says how the broker must answer its clients, and how it did",
    {
        "case": text("the group"),
        "expected": text("the answers that will do, such as `CONNACK 0x86` or `TLS alert unknown_ca`"),
        "within": number("longest time until the answer, seconds"),
        "got": mapping("clients by the answer each got; `accepted`, `no answer` and so on", whole("clients")),
        "clients": whole("clients of the group"),
        "slowest": number("time until the slowest client had its answer, seconds", nullable=True),
        "verdict": text("invalid when the run ended before all were tried", enum=_VERDICTS),
        "reason": text("why it is not a pass; may be empty"),
    },
    required=("case", "expected", "got", "clients", "verdict", "reason"),
)

_CODES = record(
    "reason codes that came, `0x86` style, with how often",
    {
        "connack": mapping("answers to CONNECT", whole("times")),
        "puback": mapping("answers to QoS 1 publishes other than success", whole("times")),
        "disconnect": mapping(
            "how established connections were lost: DISCONNECT codes, or `closed`, `reset`, `keep-alive` …",
            whole("times"),
        ),
        "suback": mapping("answers to SUBSCRIBE", whole("times")),
        "publish_refusals": mapping(
            "publishes that the broker's CONNACK forbids: `packet-too-large`, `qos`, `retain`",
            whole("times"),
        ),
        "connect_errors": mapping(
            "attempts that failed, as `phase:cause`: `connack:refused:0x86` …", whole("times")
        ),
    },
)

_CERTIFICATE_STEP = record(
    "one step of `certificates`, or certificates that ended during the run",
    {
        "kind": text("`renew`, `reconnect`, `rotate_ca`; `expire`: certificates ended, ordered by nobody"),
        "sets": listing("the identity sets", text("name of a set")),
        "moment": text("when it was to begin, as written: `steady+10s`", nullable=True),
        "expect": text("what the brokers were to do: `accepted` or `refused`", nullable=True),
        "outcome": text("`done`, `halted`, `failed`, or `not reached`: its stage had ended before"),
        "trouble": text("why it was halted or failed; else empty"),
        "at": number("when it began, seconds since the start of the run", nullable=True),
        "completed_at": number("when all was as it should be", nullable=True),
        "clients": whole("clients that it concerned"),
        "connected": whole("of these: connected then, or about to be"),
        "awaited": whole("of these: left, or were about to connect, and were to come back"),
        "reconnected": whole("came back, connected and subscribed"),
        "sessions_present": whole("of those that came back: the broker still had their session"),
        "refused": whole("clients of which at least one attempt to come back failed"),
        "failures": mapping("failed attempts by cause", whole("times")),
        "lost": whole("connections that ended against our will before the client left"),
        "last_back_at": number("when the last one was back, seconds since the start", nullable=True),
        "reconnect": summary("from leaving (DISCONNECT sent) to CONNACK"),
        "phases": listing(
            "what a CA rotation did",
            record(
                "one phase",
                {"name": text("in words"), "at": number("seconds since the start", nullable=True)},
            ),
        ),
        "view": record(
            "whether the broker lists the clients with the new certificates; null: not asked, or a later "
            "step came before it answered",
            {"checked": whole("clients looked for"), "ok": whole("clients listed so")},
        )
        | {"type": ["object", "null"]},
    },
    required=("kind", "sets", "outcome", "clients", "reconnected", "refused", "reconnect"),
)

_GENERATOR = record(
    "the health of loadgen itself: when it could not keep up, the run is invalid",
    {
        "cpu": number("CPU seconds of all workers", nullable=True),
        "cpu_percent": number("CPU time over elapsed time; 100 is one core", nullable=True),
        "rss_peak": number("largest resident memory of all processes together, bytes", nullable=True),
        "loop_lag": summary("how late the event loops woke"),
        "send_lag": summary("from the intended time of a publish to its write"),
        "dropped": whole("publishes never sent because a client's backlog was full"),
        "skipped": whole("publishes due while their client was away as planned; never sent"),
        "late": whole("publishes that waited for a connection or for the broker's quota"),
        "workers": whole("worker processes"),
        "workers_lost": whole("worker processes that died"),
        "limits": record(
            "above these the run is invalid",
            {
                "send_lag": number("p99, seconds"),
                "loop_lag": number("p99, seconds"),
                "max_dropped": whole("publishes"),
                "max_late": whole("publishes; null is no limit") | {"type": ["integer", "null"]},
            },
        ),
    },
    required=("cpu", "rss_peak", "loop_lag", "send_lag", "dropped", "late", "workers"),
)

_VIEW = record(
    "what the broker itself said about the clients; null when it was not asked",
    {
        "checked": whole("clients looked for"),
        "ok": whole(
            "clients listed once, with TLS, MQTT 5, and their certificate's user, subject and properties"
        ),
        "mismatches": listing("what differed, bounded", text("one sentence")),
        "by_node": mapping("clients on each node", whole("clients")),
        "unexpected": {"description": "connections that are no client of this run"},
    },
)

_BROKER = record(
    "the system under test",
    {
        "kind": text("rabbitmq or embedded"),
        "version": text("as the broker told", nullable=True),
        "nodes": listing("the cluster's nodes", {"type": ["string", "object"]}),
        "view": _VIEW | {"type": ["object", "null"]},
    },
    required=("kind", "version", "nodes", "view"),
)

RESULT_SCHEMA: Schema = record(
    "The result of one loadgen run. Times are seconds and sizes bytes unless named otherwise.",
    {
        "schema_version": {"const": SCHEMA_VERSION, "description": "version of this schema"},
        "loadgen_version": text("the loadgen that wrote it"),
        "verdict": text("pass, fail, or invalid when the run proves nothing", enum=_VERDICTS),
        "exit_code": whole("the process's exit code"),
        "reasons": listing("why it is not a pass", text("one sentence")),
        "scenario": _SCENARIO,
        "run_id": text("name of the run's folder"),
        "started_at": text("start, UTC", format="date-time"),
        "duration": number("seconds from start to end"),
        "aborted": text(
            "why a threshold with `abort_on_fail` ended the run early: the figures cover what ran; null when "
            "none did",
            nullable=True,
        ),
        "interrupted": flag("true when stopped by Ctrl-C or SIGTERM: the figures cover what ran"),
        "totals": _TOTALS,
        "ledger": _LEDGER,
        "metrics": mapping("latencies of all recorded stages, by metric", summary("a latency distribution")),
        "groups": mapping("the same, for each group", _GROUP),
        "stages": listing("stages in order", _STAGE),
        "thresholds": listing("thresholds in the scenario's order", _THRESHOLD),
        "expectations": listing(
            "groups with `expect`, in the scenario's order; what clients do that are to be refused is in no "
            "other figure",
            _EXPECTATION,
        ),
        "drift": DRIFT,
        "codes": _CODES,
        "faults": listing("faults in the order of the plan, then marks", FAULT),
        "outages_outside_faults": OUTSIDE,
        "certificate_steps": listing("certificate steps in order", _CERTIFICATE_STEP),
        "generator": _GENERATOR,
        "broker": _BROKER,
        "environment": mapping(
            "where and with what it ran: versions, client library, platform, cores, limits, TLS", {}
        ),
        "warnings": listing("what the reader should know", text("one sentence")),
    },
    required=(
        "schema_version",
        "verdict",
        "exit_code",
        "reasons",
        "scenario",
        "started_at",
        "duration",
        "totals",
        "ledger",
        "metrics",
        "thresholds",
        "faults",
        "generator",
        "broker",
        "environment",
    ),
    **{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "loadgen result"},
)
"""JSON Schema (draft 2020-12) of result.json."""
