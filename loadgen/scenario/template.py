"""Text with fields in braces: `APM{index:05d}`, `{cn}`, `{san.dns.1}`.

The fields a place may use are checked when the file is loaded, so a typing error never reaches
two thousand clients.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from loadgen.errors import ConfigError
from loadgen.scenario.base import malformed
from loadgen.scenario.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

IDENTITY_FIELDS = ("index", "set")
"""For the subject and the alternative names of certificates to be issued."""
_SUBJECT_FIELDS = ("cn", "o", "ou", "l", "st", "c", "serial_number")
_SAN_FIELDS = ("san.dns", "san.ip", "san.email", "san.uri", "san.other_name")
CLIENT_FIELDS = ("index", "group", "serial", "user", *_SUBJECT_FIELDS, *_SAN_FIELDS, "csv.COLUMN")
"""For a client id: the client's place in its group, and its certificate; `san.dns.1` is the second name, and
`user` what the brokers log it in as, by the target's `login`."""
CONNECTED_FIELDS = (*CLIENT_FIELDS, "client_id")
"""For user properties, topics and filters: the same and the client id itself."""

TOPIC_FIELDS = (*CONNECTED_FIELDS, "lane")
"""For topics to publish to: the same and the number of the lane."""

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SAN_INDEX = re.compile(r"(san\.(?:dns|ip|email|uri|other_name))\.[0-9]+")
_CSV_COLUMN = re.compile(r"csv\.[A-Za-z_][A-Za-z0-9_]*")
_SPEC = re.compile(r"0?[0-9]{0,3}[dxX]?")


class Template:
    """A text with fields, parsed once and rendered for every client.

    `{name}` is a field, `{index:05d}` pads a number, `{{` and `}}` are braces. Immutable, hashable and
    equal by its text.
    """

    __slots__ = ("_names", "_parts", "_pattern", "fields", "text")

    def __init__(self, text: str) -> None:
        """Parse the text.

        Raises:
            ValueError: a lone brace, an empty field, or a format other than those of whole numbers.
        """
        self.text = text
        self._parts: tuple[str | tuple[str, str], ...] = tuple(_parse(text))
        self.fields: frozenset[str] = frozenset(part[0] for part in self._parts if not isinstance(part, str))
        """The names of the fields used, as written: `cn`, `san.dns.1`."""
        # Filled in hundreds of thousands of times for a large fleet: str.format does it in one call.
        self._names = tuple(part[0] for part in self._parts if not isinstance(part, str))
        self._pattern = "".join(
            part.replace("{", "{{").replace("}", "}}") if isinstance(part, str) else f"{{:{part[1]}}}"
            for part in self._parts
        )

    def render(self, fields: Mapping[str, object]) -> str:
        """Fill in the fields.

        Raises:
            ConfigError: a field has no value here (a certificate without that alternative name), or a
                number format meets a value that is no number.
        """
        try:
            return self._pattern.format(*[fields[name] for name in self._names])
        except KeyError as error:
            raise ConfigError(
                f'the template "{self.text}" asks for {{{error.args[0]}}}, which is not there',
                "use a field that every certificate of the set has",
            ) from None
        except ValueError:
            raise ConfigError(
                f'the template "{self.text}" formats as a number what is not one',
                "use a format only for {index} and {lane}",
            ) from None

    def literal(self, placeholder: str = "x") -> str:
        """Give the text with every field replaced, to look at what is fixed in it."""
        return "".join(part if isinstance(part, str) else placeholder for part in self._parts)

    def __str__(self) -> str:
        """The text as written in the file."""
        return self.text

    def __repr__(self) -> str:
        """`Template('…')`."""
        return f"Template({self.text!r})"

    def __eq__(self, other: object) -> bool:
        """Equal when the texts are."""
        return isinstance(other, Template) and self.text == other.text

    def __hash__(self) -> int:
        """By the text."""
        return hash(self.text)

    def __reduce__(self) -> tuple[type[Template], tuple[str]]:
        """Travel to a worker process as the text."""
        return Template, (self.text,)


def _parse(text: str) -> list[str | tuple[str, str]]:
    parts: list[str | tuple[str, str]] = []
    end = 0
    for token in _TOKEN.finditer(text):
        _add_text(parts, text[end : token.start()])
        end = token.end()
        if token[0] in {"{{", "}}"}:
            _add_text(parts, token[0][0])
        elif token[1] is None:
            raise ValueError(f"lone {token[0]} at character {token.start() + 1}")
        else:
            name, _, spec = token[1].partition(":")
            if not name:
                raise ValueError("empty field {}")
            if not _SPEC.fullmatch(spec):
                raise ValueError(f'unknown number format "{spec}" in {token[0]}')
            parts.append((name, spec))
    _add_text(parts, text[end:])
    return parts


def _add_text(parts: list[str | tuple[str, str]], text: str) -> None:
    if text and parts and isinstance(parts[-1], str):
        parts[-1] += text
    elif text:
        parts.append(text)


def _checker(allowed: tuple[str, ...]) -> Callable[[object], Template]:
    def check(value: object) -> Template:
        if isinstance(value, Template):
            template = value
        elif isinstance(value, str):
            try:
                template = Template(value)
            except ValueError as error:
                raise malformed(
                    f'"{value}" is not a template: {error}', "write {{ and }} for braces that are text"
                ) from None
        elif isinstance(value, dict) and len(value) == 1 and list(value.values()) == [None]:
            # YAML reads a bare {cn} as a mapping; this is the commonest slip with templates.
            raise malformed("a template that begins with { needs quotes", f'write "{{{next(iter(value))}}}"')
        else:
            shown = "null" if value is None else value
            raise malformed(f"must be text, not {shown}", f'put it in quotes: "{shown}"')
        for field in sorted(template.fields):
            if _CSV_COLUMN.sub("csv.COLUMN", _SAN_INDEX.sub(r"\1", field)) not in allowed:
                raise malformed(
                    f'"{template.text}" uses the unknown field {{{field}}}', did_you_mean(field, allowed)
                )
        for name, spec in (part for part in template._parts if not isinstance(part, str)):  # noqa: SLF001
            if spec and name not in {"index", "lane"}:
                raise malformed(f"{{{name}:{spec}}} formats as a number what is text", f"write {{{name}}}")
        return template

    return check


def _annotation(allowed: tuple[str, ...]) -> tuple[PlainValidator, PlainSerializer, WithJsonSchema]:
    fields = ", ".join(f"{{{field}}}" for field in allowed)
    schema: dict[str, Any] = {"type": "string", "description": f"A template; fields: {fields}."}
    return PlainValidator(_checker(allowed)), PlainSerializer(str, return_type=str), WithJsonSchema(schema)


_identity, _client, _connected, _topic = (
    _annotation(fields) for fields in (IDENTITY_FIELDS, CLIENT_FIELDS, CONNECTED_FIELDS, TOPIC_FIELDS)
)
IdentityTemplate = Annotated[Template, _identity[0], _identity[1], _identity[2]]
"""A template of `IDENTITY_FIELDS`."""
ClientTemplate = Annotated[Template, _client[0], _client[1], _client[2]]
"""A template of `CLIENT_FIELDS`."""
ConnectedTemplate = Annotated[Template, _connected[0], _connected[1], _connected[2]]
"""A template of `CONNECTED_FIELDS`."""
TopicTemplate = Annotated[Template, _topic[0], _topic[1], _topic[2]]
"""A template of `TOPIC_FIELDS`."""
