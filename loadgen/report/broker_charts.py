"""Charts of what the brokers said of themselves during a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.report import summaries
from loadgen.report.plots import Line, columns
from loadgen.report.time_charts import NODE_STYLES, TimeCharts, known

if TYPE_CHECKING:
    from loadgen.report.broker_series import BrokerSeries
    from loadgen.report.chart import Chart

_STYLES = (("blue", "solid"), *NODE_STYLES)
_BY_NODE = (
    ("broker_cpu", "The brokers' CPU", "By node; 100 % is one core.", "percent"),
    ("broker_memory", "The brokers' memory", "By node, as it counts it itself.", "size"),
)
_CONNECTIONS = Line("connections", "all connections", "blue")
_QUEUES = (
    Line("ready", "ready", "blue"),
    Line("unacknowledged", "delivered, not acknowledged", "orange", "dashed"),
)


def broker_charts(timed: TimeCharts, said: BrokerSeries) -> list[Chart]:
    """Draw CPU, memory and connections by node, and messages in queues; what nobody told is left out."""
    source = columns(time=said.time, **said.columns)
    asked = [
        (
            key,
            title,
            note,
            [
                Line(f"{key}_{place}", node, *style)
                for place, (node, style) in enumerate(zip(said.nodes, _STYLES, strict=False))
            ],
            unit,
        )
        for key, title, note, unit in _BY_NODE
    ]
    nodes = [
        Line(f"broker_connections_{place}", node, *style)
        for place, (node, style) in enumerate(zip(said.nodes, NODE_STYLES, strict=False))
    ]
    note = "In all, and by node where what the nodes tell adds up to it."
    title = "The brokers' connections"
    asked.append(("broker_connections", title, note, [_CONNECTIONS, *nodes], "number"))
    note = "Messages that the brokers held. Not counted: QoS 0 on its way to a subscriber."
    asked.append(("queues", "Messages in queues", note, list(_QUEUES), "number"))
    charts = []
    for key, title, words, wanted, unit in asked:
        lines = [line for line in wanted if known(said.columns[line.column])]
        if lines:
            curves = {line.name: said.columns[line.column] for line in lines}
            summary = summaries.highest(said.time, curves, unit)
            charts.append(timed.chart(key, title, words, lines, unit, "broker", summary, source))
    return charts
