"""What a certificate step means for one client: plain values that travel to a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.identity.identity import Identity


@dataclass(frozen=True, slots=True)
class CertificateChange:
    """What one client is to do in a step."""

    client: int
    """Its number in the run."""
    due: int
    """When its turn comes, monotonic ns."""
    identity: Identity | None = None
    """The certificate it has from then on; None: the one it has."""
    user_properties: tuple[tuple[str, str], ...] | None = None
    """Those of its CONNECT from then on, as templates may name the certificate's serial number."""
