"""How the brokers must answer the clients of a group, in the words of the engine's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.scenario.expecting import Expect

ACCEPTED = "accepted"
CLOSED = "closed"
CLOSED_EARLY = "closed instead of CONNACK"
ALERT = "TLS alert "
_ANY_ALERT = f"{ALERT}any"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The answers that will do, and until when."""

    answers: tuple[str, ...]
    """`accepted`, `CONNACK 0x86`, `SUBACK 0x87`, `DISCONNECT 0x8E`, `closed`, `closed instead of CONNACK`,
    `TLS alert unknown_ca`, `TLS alert any`."""
    within: int
    """Longest time until the answer, ns."""
    refused: bool
    """Whether these are refusals."""
    later: bool
    """Whether one of them comes only after the client was accepted."""

    def met_by(self, answer: str) -> bool:
        """Whether an answer is one of those expected."""
        return answer in self.answers or (_ANY_ALERT in self.answers and answer.startswith(ALERT))

    def __str__(self) -> str:
        """In words, such as `CONNACK 0x86`, `TLS alert any or CONNACK 0x86`."""
        return " or ".join(self.answers)


def expectation(expect: Expect) -> Expectation:
    """What a group's `expect:` says, in the words of the answers."""
    answers = [ACCEPTED] if expect.accepted else []
    if expect.tls_alert is not None:
        answers.append(f"{ALERT}{expect.tls_alert}")
    for name in ("connack", "suback", "disconnect"):
        code = getattr(expect, name)
        if code is not None:
            answers.append(f"{name.upper()} 0x{code:02X}")
    if expect.closed is not None:
        answers.append(CLOSED if expect.closed == "after_connack" else CLOSED_EARLY)
    later = expect.disconnect is not None or expect.closed == "after_connack"
    return Expectation(tuple(answers), expect.within, expect.refused, later)
