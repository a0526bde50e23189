"""How one threshold is written: its expression, or a mapping that says what happens when it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, model_serializer

from loadgen.scenario.base import Strict, Text, malformed
from loadgen.scenario.units import NS_PER_S, PositiveDuration

if TYPE_CHECKING:
    from collections.abc import Callable

Level = Literal["fail", "warn"]


class ThresholdRule(Strict):
    """One threshold; as a text alone it is its expression."""

    threshold: Text
    """What must hold: `p99 < 250ms`."""
    level: Level = "fail"
    """`fail`: the run fails when it is broken; `warn`: that is reported, and the run passes."""
    abort_on_fail: PositiveDuration | None = None
    """End the run early once it was broken for so long at a stretch."""

    @property
    def abort_after(self) -> float | None:
        """How long it may be broken before the run is ended, in seconds; None: to the end."""
        return self.abort_on_fail / NS_PER_S if self.abort_on_fail is not None else None

    @model_serializer(mode="wrap")
    def _as_written(self, plain: Callable[[ThresholdRule], dict[str, Any]]) -> str | dict[str, Any]:
        if self.level == "fail" and self.abort_on_fail is None:
            return self.threshold
        return plain(self)


def as_rule(value: object) -> object:
    """Take a text for the rule of that expression."""
    if isinstance(value, str):
        return {"threshold": value}
    if isinstance(value, dict | ThresholdRule):
        return value
    raise malformed(f"{value} is not a threshold", "write for example p99 < 250ms, or count == 0")


Rule = Annotated[ThresholdRule, BeforeValidator(as_rule, json_schema_input_type=str | ThresholdRule)]
