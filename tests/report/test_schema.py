from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from loadgen.report.schema import RESULT_SCHEMA
from loadgen.report.schema_doc import result_table

DOC = Path(__file__).parents[2] / "docs" / "result.md"


def check(result: dict[str, Any]) -> None:
    jsonschema.validate(result, RESULT_SCHEMA, cls=jsonschema.Draft202012Validator)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(RESULT_SCHEMA)


def test_good_and_empty_results_fit(good_result: dict[str, Any], no_result: dict[str, Any]) -> None:
    check(good_result)
    check(no_result)


def test_a_killed_run_may_lack_its_ledger(good_result: dict[str, Any]) -> None:
    good_result["ledger"] = {}
    check(good_result)
    good_result["ledger"] = {"ok": 1}
    with pytest.raises(jsonschema.ValidationError):
        check(good_result)


@pytest.mark.parametrize("key", ["verdict", "totals", "ledger", "generator", "started_at"])
def test_a_missing_key_is_found(good_result: dict[str, Any], key: str) -> None:
    del good_result[key]
    with pytest.raises(jsonschema.ValidationError, match=key):
        check(good_result)


def test_a_wrong_verdict_or_type_is_found(good_result: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check({**good_result, "verdict": "maybe"})
    with pytest.raises(jsonschema.ValidationError):
        check({**good_result, "totals": {**good_result["totals"], "published": "many"}})


def test_keys_may_be_added(good_result: dict[str, Any]) -> None:
    good_result["totals"]["something_new"] = 1
    check(good_result)


def test_every_key_of_the_schema_says_what_it_is() -> None:
    rows = result_table().splitlines()[2:]
    assert len(rows) > 100
    assert [row for row in rows if row.rsplit("|", 2)[1].strip() == ""] == []


def test_the_document_holds_the_schemas_table() -> None:
    assert result_table() in DOC.read_text(encoding="utf-8"), (
        "run: python -m loadgen.report.schema_doc docs/result.md"
    )
