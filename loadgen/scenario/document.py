"""YAML text as plain data that remembers which line each value came from.

PyYAML's own `load` forgets the lines and keeps the last of two equal keys in silence; both matter
in a file written by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import yaml

from loadgen.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path

Place = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists."""

_MERGE = "tag:yaml.org,2002:merge"
_MAX_VALUES = 100_000
"""Aliases can make a small text expand without end; no real scenario comes near this."""


class Origin(NamedTuple):
    """Where a value was written."""

    source: str
    """A file, or `--set KEY`."""
    line: int
    """Counted from 1; 0 when the source has no lines."""

    def at(self, place: Place) -> str:
        """Give `file.yaml:12: groups.sensors.clients`, or `--set groups.sensors.clients`."""
        if not self.line:
            return self.source
        dotted = ".".join(str(step) for step in place)
        return f"{self.source}:{self.line}: {dotted}" if dotted else f"{self.source}:{self.line}"


@dataclass(slots=True)
class Document:
    """Plain data with the origin and the written text of its parts."""

    data: object
    origins: dict[Place, Origin]
    texts: dict[Place, str]
    """Scalars as written: `007` where the data says 7."""
    problems: list[tuple[Origin, Problem]] = field(default_factory=list)
    """What was wrong with the text as such: duplicate keys, keys that are no text."""

    def origin(self, place: Place) -> Origin:
        """Find where a place was written: its own origin, or that of the nearest thing around it."""
        while place not in self.origins and place:
            place = place[:-1]
        return self.origins[place]

    def graft(self, place: Place, other: Document) -> None:
        """Put another document's data at a place that exists or whose parent is a mapping or list."""
        assert place
        parent = self.data
        for step in place[:-1]:
            parent = parent[step]  # type: ignore[index]
        parent[place[-1]] = other.data  # type: ignore[index]
        for known in [known for known in self.origins if known[: len(place)] == place]:
            del self.origins[known]
            self.texts.pop(known, None)
        self.origins |= {place + inner: origin for inner, origin in other.origins.items()}
        self.texts |= {place + inner: text for inner, text in other.texts.items()}
        self.problems += other.problems


def read_document(path: Path, what: str) -> Document:
    """Read a YAML file whose top is a mapping.

    Args:
        path: the file.
        what: what it should be, for messages: `scenario`, `target`.

    Raises:
        ConfigError: it cannot be read, is no YAML, is empty, or its top is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{what} file {path} does not exist", "check the path") from None
    except OSError as error:
        raise ConfigError(
            f"cannot read the {what} file {path}: {error.strerror}", "check path and permissions"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{what} file {path} is not UTF-8 text", "save it as UTF-8") from None
    document = parse_document(text, str(path))
    if not isinstance(document.data, dict):
        found = "is empty" if document.data is None else "is not a mapping"
        raise ConfigError([Problem(f"{path}:1", f"the {what} file {found}", "write key: value lines")])
    return document


def parse_document(text: str, source: str, *, lines: bool = True) -> Document:
    """Parse one YAML document.

    Args:
        text: the YAML.
        source: its name in messages.
        lines: whether line numbers mean anything to the reader.

    Raises:
        ConfigError: it is no YAML; the message names the line.
    """
    builder = _Builder(source, lines=lines)
    try:
        return builder.build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        written = text.splitlines()[line - 1] if 0 < line <= len(text.splitlines()) else ""
        mend = "texts with { } # or : need quotes" if set(written) & set("{#:") else "check the indentation"
        what = f"not valid YAML: {error.problem or error.context}"
        raise ConfigError([Problem(Origin(source, line if lines else 0).at(()), what, mend)]) from None
    except yaml.YAMLError as error:
        what = f"not valid YAML: {' '.join(str(error).split())}"
        raise ConfigError([Problem(source, what, "remove the control characters")]) from None
    except RecursionError:
        raise ConfigError([Problem(source, "nested too deeply", "flatten it")]) from None


class _Builder:
    """Turns composed nodes into plain data, noting origins on the way."""

    def __init__(self, source: str, *, lines: bool) -> None:
        self._source = source
        self._lines = lines
        self._document = Document(None, {}, {})
        self._open: set[int] = set()
        self._values = 0

    def build(self, text: str) -> Document:
        self._loader = yaml.SafeLoader(text)
        try:
            node = self._loader.get_single_node()
            self._document.origins[()] = Origin(self._source, 1 if self._lines else 0)
            if node is not None:
                self._find_duplicates(node, set())
                self._document.data = self._value(node, ())
        finally:
            self._loader.dispose()
        return self._document

    def _origin(self, node: yaml.Node, place: Place) -> Origin:
        if self._lines:
            return Origin(self._source, node.start_mark.line + 1)
        dotted = ".".join(str(step) for step in place)
        return Origin(f"{self._source}: {dotted}" if dotted else self._source, 0)

    def _report(self, node: yaml.Node, place: Place, what: str, mend: str) -> None:
        origin = self._origin(node, place)
        self._document.problems.append((origin, Problem(origin.at(place), what, mend)))

    def _find_duplicates(self, node: yaml.Node, seen: set[int], place: Place = ()) -> None:
        """Report equal keys, before merging makes some of them legitimate."""
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._find_duplicates(item, seen, (*place, index))
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                name = str(key.value)
                if key.tag != _MERGE and name in first:
                    what = f'the key "{name}" is here twice, first on line {first[name]}'
                    self._report(key, (*place, name), what, "remove one of them")
                first.setdefault(name, key.start_mark.line + 1)
                self._find_duplicates(value, seen, (*place, name))

    def _value(self, node: yaml.Node, place: Place) -> object:
        self._values += 1
        if self._values > _MAX_VALUES:
            raise yaml.YAMLError("aliases expand to more than 100,000 values")
        if id(node) in self._open:
            self._report(node, place, "an alias refers to itself", "remove the alias")
            return None
        self._document.origins.setdefault(place, self._origin(node, place))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, (*place, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, place)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, object]:
        self._loader.flatten_mapping(node)
        data: dict[str, object] = {}
        for key, value in node.value:
            name = str(key.value)
            if not isinstance(key, yaml.ScalarNode) or not isinstance(self._scalar(key, None), str):
                mend = f'put it in quotes: "{name}"' if isinstance(key, yaml.ScalarNode) else "write text"
                self._report(key, place, f"the key {name} is not text in YAML", mend)
            inner = (*place, name)
            # A later key wins over a merged one, so its origin must, too.
            self._document.origins[inner] = self._origin(key, inner)
            data[name] = self._value(value, inner)
        return data

    def _scalar(self, node: yaml.Node, place: Place | None) -> object:
        try:
            value: object = self._loader.construct_object(node)
        except (ValueError, OverflowError):
            self._report(node, place or (), f"{node.value} is out of range", "put it in quotes if it is text")
            value = None
        if place is not None:
            self._document.texts[place] = str(node.value)
        return value
