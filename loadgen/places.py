"""Where in a human's files a setting stands, for what turns out to be wrong only after loading them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.errors import ConfigError
from loadgen.scenario.document import Document, read_document
from loadgen.scenario.overrides import apply_override

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Places:
    """Knows the scenario, the file that replaces its target, and the overrides, as they were written."""

    def __init__(self, scenario: Path, overrides: Sequence[str] = (), target: Path | None = None) -> None:
        """Keep the names; the files are read when the first place is asked for."""
        self.scenario = scenario
        self.target = target
        self._overrides = overrides
        self._document: Document | None = None

    def of(self, *place: str | int) -> str:
        """Give `scenario.yaml:12: target.tls.ca`, or `--set target.tls.ca` where it was set there.

        When the file has gone or changed since it was loaded, the key alone must do.
        """
        dotted = ".".join(str(step) for step in place)
        try:
            if self._document is None:
                self._document = self._read()
            origin = self._document.origin(place)
        except (ConfigError, LookupError, TypeError):
            return f"{self.scenario}: {dotted}"
        return origin.at(place)

    def command(self, verb: str) -> str:
        """Give another verb's command line for the same files: `loadgen provision s.yaml --target t.yaml`."""
        target = f" --target {self.target}" if self.target else ""
        return f"loadgen {verb} {self.scenario}{target}"

    def _read(self) -> Document:
        document = read_document(self.scenario, "scenario")
        if self.target is not None:
            document.graft(("target",), _target_section(read_document(self.target, "target")))
        for override in self._overrides:
            apply_override(document, override)
        return document


def _target_section(document: Document) -> Document:
    """The target of a file that holds it bare or below the key `target`, as `--target` takes both."""
    if not isinstance(document.data, dict) or list(document.data) != ["target"]:
        return document
    inner = {place[1:]: origin for place, origin in document.origins.items() if place}
    return Document(document.data["target"], inner, {})
