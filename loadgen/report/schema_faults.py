"""The part of result.json's schema that tells of faults."""

from __future__ import annotations

from loadgen.report.schema_parts import Schema, flag, listing, mapping, number, record, summary, text, whole

_AT = "seconds since the start of the run"


def _moment(description: str) -> Schema:
    return number(f"{description}, {_AT}", nullable=True)


def _latencies(description: str) -> Schema:
    return record(
        description,
        {
            "publish": summary("`publish_latency` of the recorded stages in that time"),
            "delivery": summary("`delivery_latency` of the recorded stages in that time"),
        },
    )


_BY_CODE = mapping(
    "code → pairs `[second, times]`, for each second that had any",
    listing("pairs", listing("second since the start of the run, and how often", whole("a number"))),
)

_WINDOW: Schema = record(
    "from the injection to recovery, or to the run's end; null when it was not injected",
    {
        "start": _moment("when it opened"),
        "end": _moment("when it closed"),
        "closed_by": text("why it closed", enum=["recovery", "end"]),
    },
) | {"type": ["object", "null"]}

_OUTAGE: Schema = record(
    "how long the fleet's rate was low; null without a baseline, or with too few messages to tell",
    {
        "seconds": number("all low bins together"),
        "first_low_at": _moment("start of the first low bin; null when none was low"),
        "last_low_end_at": _moment("end of the last low bin; null when none was low"),
        "lasting": flag("true when the rate was still low when the window closed"),
        "deepest": number("the smallest portion of the baseline that a low bin held", nullable=True),
        "bin": number("width of the widest bins that were low, seconds: the resolution of these figures"),
    },
) | {"type": ["object", "null"]}

_SPREAD = {
    "total": number("sum over the outages"),
    "p50": number("median of an outage", nullable=True),
    "p90": number("90th percentile", nullable=True),
    "max": number("the most of an outage", nullable=True),
}

FAULT: Schema = record(
    "one fault or mark; keys about its window are absent or null when it was not injected",
    {
        "number": whole("its place in the plan, from 0; marks come after the planned ones"),
        "name": text("its name; repetitions of `kill` are `kill#1`, `kill#2` …"),
        "kind": text("kill, stop, pause …; `mark` for what somebody else did"),
        "target": text("as the scenario words it: `busiest`, a name; empty where there is none"),
        "nodes": listing("the nodes it was done to, as node control names them", text("a name")),
        "endpoints": listing("`host:port` of the same nodes", text("host:port")),
        "outcome": text(
            "what became of it", enum=["injected", "failed", "not reached", "pending", "injecting"]
        ),
        "planned_at": text("the moment as written: `steady+30s`; null for a mark", nullable=True),
        "trouble": listing(
            "why it was not injected or not healed; empty when all went well", text("one sentence")
        ),
        "injected_at": _moment("just before the act"),
        "injected_done_at": _moment("when the act was complete"),
        "healing_at": _moment("when the healing began"),
        "healed_at": _moment("when the nodes served again; null when there was nothing to heal"),
        "recovered_at": _moment(
            "when every client was back and heard, and the rate what it was; null: never"
        ),
        "recovery": number("from the injection to that, seconds", nullable=True),
        "window": _WINDOW,
        "steps": listing(
            "each act as it was done",
            record(
                "an act",
                {"what": text("`killed`, `serving` …"), "node": text("the node"), "at": _moment("when")},
            ),
        ),
        "affected": whole("clients that lost a connection", nullable=True),
        "outages": whole(
            "losses of connections that ended in an outage: more than `affected` when cut again"
        ),
        "cut_again": whole("clients that were cut more than once"),
        "gave_up": whole("outages in which the client made no further attempt"),
        "not_back": whole("outages that had not ended when the run did"),
        "without_first_ack": whole(
            "outages of clients that publish at QoS 1 and had no acknowledgement since"
        ),
        "noticed_by": mapping("how the losses were noticed, as in `codes.disconnect`", whole("outages")),
        "lost_node": mapping("which node the connections were lost to", whole("outages")),
        "connack_codes": mapping("answers to CONNECT in the outages, successes included", whole("attempts")),
        "connack_timeouts": whole("CONNECTs that were given up without an answer"),
        "errors": mapping("attempts that failed otherwise, as `phase:cause`", whole("attempts")),
        "slow_connacks": record(
            "CONNECTs that waited more than 10 s, answered or given up",
            {"count": whole("how many"), "max": number("the longest wait of all, seconds", nullable=True)},
        ),
        "sessions": record(
            "what the broker still knew of the clients",
            {"present": whole("resumed"), "gone": whole("begun anew: not known any more, or a clean start")},
        ),
        "attempts": record("attempts to connect", _SPREAD),
        "backoff": record("seconds waited before attempts, added up for each outage", _SPREAD),
        "moved": listing(
            "from which node to which",
            record(
                "one way", {"from": text("node"), "to": text("node"), "clients": whole("how many went it")}
            ),
        ),
        "detect": summary("the act → loss noticed"),
        "silence": summary("last sign of life → loss noticed"),
        "reconnect": summary("loss noticed → CONNACK with success"),
        "resubscribe": summary("CONNACK → SUBACK"),
        "ready": summary("loss noticed → connected and subscribed again"),
        "first_ack": summary("loss noticed → first publish acknowledged"),
        "first_delivery": summary("loss noticed → first message received"),
        "histograms": mapping("the same seven, whole, in a compact encoding of our own", text("base64")),
        "rate": record(
            "the fleet's messages a second",
            {
                "metric": text("what is counted: `acknowledged`, `received`, or `ready` clients"),
                "baseline": number("before the fault; null without a baseline", nullable=True),
                "baseline_seconds": number("how much time that is the mean of"),
                "during": number("inside the window", nullable=True),
                "after": number("as long after the window as the baseline is long", nullable=True),
            },
        ),
        "outage": _OUTAGE,
        "latency": record(
            "latencies of recorded stages before, in and after the window",
            {
                "before": _latencies("in the time of the baseline"),
                "during": _latencies("in the window"),
                "after": _latencies("as long after it as the baseline is long"),
            },
        ),
        "codes": mapping(
            "`puback_codes`, `connack_codes` … of all clients in the window",
            mapping("by code", whole("times")),
        ),
        "by_second": mapping("the same, second by second", _BY_CODE),
        "redelivered": record(
            "what came late or flagged, up to the next fault or the run's end: none of it is a loss",
            {
                "dup_flagged": whole("first deliveries that carried the DUP flag: no duplicates"),
                "late": whole("messages redelivered 30 s or more after they were due"),
                "duplicates": whole("messages that their subscriber had already"),
                "max_latency": number("the latest of the late ones, seconds after it was due", nullable=True),
            },
        ),
        "ledger": {
            "type": ["object", "null"],
            "description": "the ledger of the messages sent in the window, with the keys of `ledger`; "
            "what has no sequence number to tell by (`unexpected`, `reordered`, `not_attempted`) is 0",
        },
    },
    required=("kind", "target"),
)
"""One element of `faults`."""

OUTSIDE: Schema = record(
    "outages of clients that no fault explains",
    {
        "count": whole("how many"),
        "first": listing(
            "the first 100",
            record(
                "one outage",
                {
                    "client_id": text("the client"),
                    "group": text("its group"),
                    "node": text("which node it lost"),
                    "cause": text("how it was noticed"),
                    "noticed_at": _moment("when"),
                    "ready_at": _moment("when it was connected and subscribed again; null: never"),
                },
            ),
        ),
    },
)
"""`outages_outside_faults`."""
