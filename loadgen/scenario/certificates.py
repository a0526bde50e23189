"""The `certificates:` section: what happens to the clients' certificates while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from loadgen.scenario.base import Flag, Name, Strict, malformed, one_or_many
from loadgen.scenario.faults import Command, MomentField
from loadgen.scenario.units import NS_PER_S, Duration, PositiveDuration

if TYPE_CHECKING:
    from collections.abc import Sequence

StepKind = Literal["renew", "reconnect", "rotate_ca"]
STEP_KINDS: tuple[StepKind, ...] = ("renew", "reconnect", "rotate_ca")
_ONLY_FOR: dict[str, tuple[StepKind, ...]] = {
    "to": ("renew",),
    "valid_for": ("renew",),
    "keep_connections": ("renew",),
    "expect": ("renew", "reconnect"),
    "commands": ("rotate_ca",),
}


def _no_set_twice(names: Sequence[str]) -> Sequence[str]:
    if len(set(names)) != len(names):
        raise malformed("names a set twice", "remove the second")
    return names


Sets = Annotated[
    tuple[Name, ...],
    Field(min_length=1),
    BeforeValidator(one_or_many, json_schema_input_type=str | list[str]),
    AfterValidator(_no_set_twice),
]
"""Names of identity sets, or one."""


class RotationCommands(Strict):
    """What changes the brokers' trust where loadgen does not control them, each a line for `/bin/sh -c`."""

    trust_both: Command
    """Make every broker trust the old and the new CA: `$LOADGEN_BOTH_CAS`."""
    show_new: Command | None = None
    """Make every broker show `$LOADGEN_SERVER_CERTIFICATE`, which the new CA signed, with its key
    `$LOADGEN_SERVER_KEY`; they keep theirs when left out."""
    trust_new: Command
    """Make every broker trust the new CA alone: `$LOADGEN_NEW_CA`."""
    restore: Command | None = None
    """Make every broker as it was (`$LOADGEN_OLD_CA`), when the run ends."""


class CertificateStep(Strict):
    """One step: exactly one of `renew`, `reconnect` and `rotate_ca`, with the identity sets it concerns."""

    at: MomentField
    """When: `STAGE+DURATION`, counted from the start of the stage, or the name of a stage alone."""
    renew: Sets | None = None
    """Issue new certificates for these sets; connected clients leave in good order and come back with
    them."""
    reconnect: Sets | None = None
    """Clients of these sets leave in good order and come back with the certificates they have, as their files
    are then."""
    rotate_ca: Sets | None = None
    """Make a new CA for these sets: the brokers trust both, the clients get certificates of the new one, the
    brokers show one of it, and trust the old one no more."""
    spread: Duration = 5 * NS_PER_S
    """Over how long the clients leave, evenly; `0s`: all at once."""
    to: Name | None = None
    """`renew`: the certificates of this identity set, in place of newly issued ones."""
    valid_for: PositiveDuration | None = None
    """`renew`: how long they are valid, from the step's moment on; as the set says when left out."""
    keep_connections: Flag = False
    """`renew`: nobody leaves; each client has its new certificate when it connects next."""
    expect: Literal["accepted", "refused"] = "accepted"
    """What the brokers are to do with those who come back."""
    commands: RotationCommands | None = None
    """`rotate_ca`: how the brokers are changed, where loadgen does not control them (`target.control`)."""

    @model_validator(mode="after")
    def _one_kind(self) -> CertificateStep:
        kinds = [kind for kind in STEP_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise malformed(
                f"needs exactly one of {', '.join(STEP_KINDS)}, and has {' and '.join(kinds) or 'none'}",
                "write for example renew: devices",
            )
        for key, only in _ONLY_FOR.items():
            if key in self.model_fields_set and kinds[0] not in only:
                raise malformed(
                    f"{key} means nothing for {kinds[0]}", f"remove it; {key} belongs to {' and '.join(only)}"
                )
        if self.to is not None and self.valid_for is not None:
            raise malformed("has both to and valid_for", "remove valid_for: what is there has its dates")
        if self.keep_connections and self.expect == "refused":
            raise malformed("nobody comes back whose connection is kept", "remove expect or keep_connections")
        return self

    @model_serializer(mode="wrap")
    def _only_what_fits(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        return {
            key: value
            for key, value in dumped.items()
            if value is not None and self.kind in _ONLY_FOR.get(key, STEP_KINDS)
        }

    @property
    def kind(self) -> StepKind:
        """Which kind of step this is."""
        return next(kind for kind in STEP_KINDS if getattr(self, kind) is not None)

    @property
    def sets(self) -> tuple[str, ...]:
        """The identity sets it concerns."""
        found: tuple[str, ...] = getattr(self, self.kind)
        return found
