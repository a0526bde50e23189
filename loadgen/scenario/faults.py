"""The `faults:` section: what is done to the target during the run, and when it is undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from loadgen.scenario.base import Flag, Name, Positive, Strict, Text, malformed, one_or_many
from loadgen.scenario.stages import format_percent, parse_percent
from loadgen.scenario.units import (
    DURATION_PATTERN,
    NS_PER_S,
    Duration,
    PositiveDuration,
    format_duration,
    parse_duration,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

FaultKind = Literal["kill", "stop", "pause", "drain", "partition", "reset", "slow", "rolling-restart", "run"]
FAULT_KINDS: tuple[FaultKind, ...] = (
    "kill",
    "stop",
    "pause",
    "drain",
    "partition",
    "reset",
    "slow",
    "rolling-restart",
    "run",
)
TARGET_WORDS = ("one", "busiest", "leader", "minority", "majority", "all")
"""Targets by meaning; anything else is a node's name."""
UNTIL_THE_END = "end"
"""`heal_after: end`: not healed before the run ends."""

_ONLY_FOR: dict[str, FaultKind] = {
    "delay": "slow",
    "jitter": "slow",
    "share": "reset",
    "heal": "run",
    "between": "rolling-restart",
    "graceful": "rolling-restart",
    "maintenance": "rolling-restart",
}
_NOTHING_TO_HEAL = {"reset", "rolling-restart"}
_MOMENT = "write for example at: steady+30s"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in the run: so long after the start of a stage."""

    stage: str
    offset: int = 0
    """Nanoseconds."""

    def __str__(self) -> str:
        """`steady+30s`, or `steady` for its start."""
        return f"{self.stage}+{format_duration(self.offset)}" if self.offset else self.stage


def _moment(value: object) -> Moment:
    """Read `steady+30s` or `steady`.

    Raises:
        PydanticCustomError: no stage, or no duration after the plus sign.
    """
    if isinstance(value, Moment):
        return value
    if not isinstance(value, str):
        raise malformed(f"a moment is STAGE+DURATION, not {value}", _MOMENT)
    stage, plus, offset = (part.strip() for part in value.partition("+"))
    if not stage or (plus and not offset):
        raise malformed(f'"{value}" is not a moment', _MOMENT)
    return Moment(stage, parse_duration(offset) if plus else 0)


MomentField = Annotated[
    Moment,
    PlainValidator(_moment),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["steady+30s", "steady"]}),
]
"""A moment in a model."""


def _heal_after(value: object) -> int | Literal["end"]:
    if value == UNTIL_THE_END:
        return "end"
    if isinstance(value, str) and value.strip().isalpha():
        raise malformed(f'"{value}" is no time to heal after', "write for example 20s, or end")
    after = parse_duration(value)
    if after == 0:
        raise malformed("must be longer than 0", "write for example 20s")
    return after


def _heal_text(value: int | Literal["end"]) -> str:
    return value if isinstance(value, str) else format_duration(value)


HealAfter = Annotated[
    int | Literal["end"],
    PlainValidator(_heal_after),
    PlainSerializer(_heal_text, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": UNTIL_THE_END}],
            "examples": ["20s", UNTIL_THE_END],
        }
    ),
]
"""Nanoseconds after the injection, or `end`."""


def _share(value: object) -> float:
    if not isinstance(value, str):
        raise malformed(f"a share needs a percent sign, and {value} has none", "write for example 50%")
    share = parse_percent(value)
    if not 0 < share <= 1:
        raise malformed(f'"{value}" is no share of the connections', "write 1% to 100%")
    return share


Share = Annotated[
    float,
    PlainValidator(_share),
    PlainSerializer(format_percent, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["50%", "100%"]}),
]
"""A part of 1 inside, `50%` in the file."""


def _check_nodes(nodes: tuple[str, ...]) -> tuple[str, ...]:
    for node in nodes:
        if not node.strip() or node != node.strip():
            raise malformed(f'"{node}" is no name of a node', f"write a name, or {_words()}")
        if node in TARGET_WORDS and len(nodes) > 1:
            raise malformed(f'"{node}" stands for nodes and cannot be in a list', "write it alone")
    if len(set(nodes)) != len(nodes):
        raise malformed("names a node twice", "remove the second")
    return nodes


def _words() -> str:
    return f"{', '.join(TARGET_WORDS[:-1])} or {TARGET_WORDS[-1]}"


Nodes = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    BeforeValidator(one_or_many, json_schema_input_type=str | list[str]),
    AfterValidator(_check_nodes),
]
"""Names of nodes, or one of `TARGET_WORDS`."""


def _command(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise malformed(
            "is no command", 'write a line for the shell: run: "systemctl restart rabbitmq-server"'
        )
    return value


Command = Annotated[Text, AfterValidator(_command)]
"""A line for `/bin/sh -c`."""


class Repeat(Strict):
    """To do a fault more than once."""

    times: Positive
    """How often in all."""
    every: PositiveDuration
    """From one injection to the next."""


class Fault(Strict):
    """One fault: exactly one of the kinds, at whom; when it begins, and when it is healed."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=False)

    name: Name = Field(default_factory=str)
    """Unique name, used by thresholds and reports; the kind, then `kill-2` and so on, when left out."""
    at: MomentField
    """When: `STAGE+DURATION`, counted from the start of the stage, or the name of a stage alone."""
    kill: Nodes | None = None
    """End nodes at once (SIGKILL). Nodes: names, or one, busiest, leader, minority, majority, all."""
    stop: Nodes | None = None
    """Stop nodes in good order."""
    pause: Nodes | None = None
    """Hang nodes (SIGSTOP): they keep their connections and answer nothing."""
    drain: Nodes | None = None
    """Put nodes into maintenance: they send DISCONNECT 0x8B to their clients and take no new ones."""
    partition: Nodes | None = None
    """Cut nodes from all others of the cluster; clients still reach both sides."""
    reset: Nodes | None = None
    """Close connections of nodes through the management API."""
    slow: Nodes | None = None
    """Delay what clients and nodes send each other, by `delay`."""
    rolling_restart: Nodes | None = Field(default=None, alias="rolling-restart")
    """Restart nodes one after the other, each once the one before serves again."""
    run: Command | None = None
    """Any command, as a line for `/bin/sh -c`: for clusters that loadgen does not control."""
    heal_after: HealAfter | None = None
    """Undo it so long after it was done; `end`: when the run ends. When left out: when the drain stage
    begins, or at the end if there is none."""
    repeat: Repeat | None = None
    """Do it more than once."""
    delay: PositiveDuration | None = None
    """`slow`: how long each direction is delayed."""
    jitter: Duration = 0
    """`slow`: how much the delay varies at most, either way."""
    share: Share = 1.0
    """`reset`: the portion of each node's connections to close."""
    heal: Command | None = None
    """`run`: the command that undoes it."""
    between: Duration = 5 * NS_PER_S
    """`rolling-restart`: wait between a node that serves again and the next."""
    graceful: Flag = True
    """`rolling-restart`: stop nodes in good order; `false` kills them."""
    maintenance: Flag = False
    """`rolling-restart`: drain each node before it is stopped."""

    @model_validator(mode="after")
    def _one_kind(self) -> Fault:
        kinds = [kind for kind in FAULT_KINDS if self._value(kind) is not None]
        if len(kinds) != 1:
            raise malformed(
                f"needs exactly one kind of fault, and has {' and '.join(kinds) or 'none'}",
                f"write one of {', '.join(FAULT_KINDS)}, for example kill: busiest",
            )
        for key, kind in _ONLY_FOR.items():
            if key in self.model_fields_set and kind != kinds[0]:
                raise malformed(
                    f"{key} means nothing for a {kinds[0]}", f"remove it; {key} belongs to {kind}"
                )
        self._check_healing()
        self._check_delay()
        if self.partition == ("all",):
            raise malformed("a partition of all nodes has no other side", "name the nodes of one side")
        return self

    def _value(self, kind: FaultKind) -> object:
        return getattr(self, kind.replace("-", "_"))

    def _check_healing(self) -> None:
        if self.heals:
            return
        if self.heal_after is not None:
            mend = "add heal: COMMAND, or remove heal_after" if self.run is not None else "remove it"
            what = "no command heals it" if self.run is not None else f"a {self.kind} heals by itself"
            raise malformed(f"heal_after means nothing here: {what}", mend)

    def _check_delay(self) -> None:
        if self.slow is None:
            return
        if self.delay is None:
            raise malformed("slow needs a delay", "add for example delay: 50ms")
        if self.jitter > self.delay:
            raise malformed(
                "jitter is more than delay", "make it smaller: nothing arrives before it was sent"
            )

    @model_serializer(mode="wrap")
    def _only_what_fits(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        return {
            key: value
            for key, value in dumped.items()
            if value is not None and _ONLY_FOR.get(key, self.kind) == self.kind
        }

    @property
    def kind(self) -> FaultKind:
        """Which kind of fault this is."""
        return next(kind for kind in FAULT_KINDS if self._value(kind) is not None)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of nodes, or one of `TARGET_WORDS`; empty for `run`."""
        value = self._value(self.kind)
        return value if isinstance(value, tuple) else ()

    @property
    def heals(self) -> bool:
        """Whether there is something to undo."""
        return self.heal is not None if self.run is not None else self.kind not in _NOTHING_TO_HEAL

    @property
    def times(self) -> int:
        """How often it is done."""
        return self.repeat.times if self.repeat is not None else 1

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its repetitions in order, `kill#1` and so on; its own name when it is done once."""
        if self.times == 1:
            return (self.name,)
        return tuple(f"{self.name}#{time}" for time in range(1, self.times + 1))


def with_names(faults: Sequence[Fault | None]) -> tuple[Fault | None, ...]:
    """Give faults without a name one: the kind, or the kind with the first number that is free."""
    taken = {fault.name for fault in faults if fault is not None and fault.name}
    named: list[Fault | None] = []
    for fault in faults:
        if fault is not None and not fault.name:
            name, number = str(fault.kind), 1
            while name in taken:
                number += 1
                name = f"{fault.kind}-{number}"
            taken.add(name)
            named.append(fault.model_copy(update={"name": name}))
        else:
            named.append(fault)
    return tuple(named)


def _all_named(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    return tuple(fault for fault in with_names(faults) if fault is not None)


Faults = Annotated[tuple[Fault, ...], AfterValidator(_all_named)]
"""Faults that all have names."""
