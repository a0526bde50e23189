"""The certificates that a run's steps need, issued before it where possible, and gone after it.

Keys are in a folder of their own beside the set's (mode 0700), never in the run's folder.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError
from loadgen.identity import storage
from loadgen.identity.authority import Authority
from loadgen.identity.renewal import issue_again

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.certificates.steps import StepRun
    from loadgen.identity.identity import Identity
    from loadgen.plan.plan import Plan
    from loadgen.scenario.identities import Issue


class CertificateSupply:
    """See the module's docstring. Its methods block; call them in a thread."""

    def __init__(self, plan: Plan, identities: Mapping[str, Sequence[Identity]]) -> None:
        """Know the plan and the certificates that its clients begin with."""
        self._plan = plan
        self._identities = identities
        self._issued: dict[tuple[int, str], Sequence[Identity]] = {}
        self._signers: dict[tuple[int, str], Authority] = {}
        """(step, set) → the CA that signs at that point of the run."""
        self._rotations: dict[int, tuple[Authority, Authority]] = {}
        self._folders: dict[str, Path] = {}

    def issue_ahead(self, steps: Sequence[StepRun]) -> None:
        """Make the CAs and certificates of all steps, but those whose validity begins with the step.

        Raises:
            ConfigError: a CA cannot be opened, or files cannot be written.
        """
        signing: dict[str, Authority] = {}
        for step in steps:
            if step.kind == "reconnect" or step.order is None or step.order.to is not None:
                continue
            for name in step.sets:
                issue = self._issue_of(name)
                signer = signing.get(issue.out)
                if signer is None:
                    signer = signing[issue.out] = _opened(issue)
                if step.kind == "rotate_ca" and step.number not in self._rotations:
                    new = self._new_authority(issue, step.number)
                    self._rotations[step.number] = (signer, new)
                    signer = signing[issue.out] = new
                self._signers[step.number, name] = signer
                if step.order.valid_for is None:
                    self._issued[step.number, name] = self._issue(step, name)

    def issue_for(self, step: StepRun, starts_at: float) -> None:
        """Make the certificates of a step whose validity counts from its moment (seconds since the epoch).

        Raises:
            ConfigError: files cannot be written.
        """
        assert step.order is not None
        assert step.order.valid_for is not None
        end = starts_at + step.order.valid_for / 1e9
        for name in step.sets:
            self._issued[step.number, name] = self._issue(step, name, not_after=end)

    def of(self, step: StepRun, set_name: str, index: int) -> Identity | None:
        """The certificate that a step gives to the client with this place in its group; None: the same.

        Raises:
            ConfigError: it could not be issued in time.
        """
        if step.kind == "reconnect":
            return None
        if step.order is not None and step.order.to is not None:
            found = self._identities[step.order.to]
            return found[index % len(found)]
        issued = self._issued.get((step.number, set_name))
        if issued is None:
            raise ConfigError("its certificates were not issued in time", "put the step later in its stage")
        return issued[index % len(self._identities[set_name])]

    def rotation(self, step: StepRun) -> tuple[Authority, Authority]:
        """The old and the new CA of a step."""
        return self._rotations[step.number]

    def folder(self, out: str) -> Path:
        """The folder for what is made for this run beside `out`."""
        if out not in self._folders:
            path = Path(out)
            with storage.readable_errors(path):
                self._folders[out] = Path(tempfile.mkdtemp(prefix=".renewed-", dir=path))
        return self._folders[out]

    def remove(self) -> None:
        """Remove all that was made; no client uses it any more."""
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

    def _issue_of(self, name: str) -> Issue:
        issue = self._plan.scenario.identities[name].issue
        assert issue is not None, "checked when the scenario was loaded"
        return issue

    def _new_authority(self, issue: Issue, number: int) -> Authority:
        return Authority.ensure(
            self.folder(issue.out) / f"ca-{number}",
            intermediates=issue.intermediates,
            password=issue.ca_password,
        )

    def _issue(self, step: StepRun, name: str, *, not_after: float | None = None) -> list[Identity]:
        issue = self._issue_of(name)
        groups = self._plan.scenario.groups.values()
        needed = max(group.clients for group in groups if group.identity == name)
        return issue_again(
            name,
            issue,
            min(needed, issue.count),
            self.folder(issue.out) / f"step-{step.number}" / name,
            authority=self._signers[step.number, name],
            not_after=not_after,
            # Made in one second with others of the same names, they differ in their dates all the same.
            later=step.number + 1,
        )


def _opened(issue: Issue) -> Authority:
    return Authority.open(Path(issue.out), intermediates=issue.intermediates, password=issue.ca_password)
