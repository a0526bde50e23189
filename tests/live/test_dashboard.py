"""The Grafana dashboard asks for metrics and labels that loadgen really has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from loadgen.live.families import families
from tests.live.boards import board

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs/grafana/loadgen.json").read_text(encoding="utf-8")
)


def expressions() -> list[str]:
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return found + [each["expr"] for each in DASHBOARD["annotations"]["list"]]


def series() -> dict[str, set[str]]:
    """Every series that is exported, with its labels."""
    found: dict[str, set[str]] = {}
    for family in families(board()):
        labels = {*family.labels, "instance"}
        if family.kind == "histogram":
            found |= {f"{family.name}_bucket": labels | {"le"}}
            found |= {f"{family.name}_{suffix}": labels for suffix in ("sum", "count")}
        else:
            suffix = {"counter": "_total", "info": "_info"}.get(family.kind, "")
            found[family.name + suffix] = labels
    return found


def selectors(text: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: Any) -> bool:  # noqa: ANN401
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(text.replace("$__rate_interval", "1m")), visit)
    return found


@pytest.mark.parametrize("text", expressions())
def test_every_expression_is_of_metrics_that_exist(text: str) -> None:
    known = series()
    asked = selectors(text)
    assert asked
    for selector in asked:
        assert selector.name in known
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= known[selector.name]
        assert "instance" in labels


@pytest.mark.parametrize("text", expressions())
def test_counters_are_looked_at_as_rates_or_totals(text: str) -> None:
    for selector in selectors(text):
        if str(selector.name).endswith(("_bucket", "_seconds_total")):
            assert "rate(" in text


def test_legends_name_labels_that_are_left() -> None:
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        for target in panel["targets"]:
            label = target["legendFormat"].partition("{{")[2].partition("}}")[0]
            labels = {each for one in selectors(target["expr"]) for each in series()[str(one.name)]}
            assert not label or label in labels


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
