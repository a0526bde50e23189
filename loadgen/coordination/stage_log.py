"""The stages of a run as they went, for the result."""

from __future__ import annotations

from typing import Any


class StageLog:
    """A row for each stage that began."""

    def __init__(self) -> None:
        """No stage yet."""
        self.origin = 0
        """The run's time zero, monotonic ns."""
        self.rows: list[dict[str, Any]] = []
        """What `result.json` says of them (docs/result.md), in their order."""

    def begin(self, name: str, kind: str, at: int, *, record: bool = True, load: str | None = None) -> None:
        """A stage begins at `at` (monotonic ns)."""
        self.rows.append(
            {
                "name": name,
                "kind": kind,
                "record": record,
                "started_at_s": (at - self.origin) / 1e9,
                "duration": None,
                "load": load,
            }
        )

    def tell(self, **facts: object) -> None:
        """Say more of the stage that began last."""
        self.rows[-1].update(facts)

    def end(self, began: int, ended: int) -> None:
        """It is over; times are monotonic ns."""
        self.tell(duration=(ended - began) / 1e9)

    @property
    def names(self) -> set[str]:
        """Of the stages that began."""
        return {row["name"] for row in self.rows}
