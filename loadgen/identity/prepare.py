"""From one entry of a scenario's `identities:` section to the identities it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError
from loadgen.identity.authority import planned_identity
from loadgen.identity.check import check_trust
from loadgen.identity.crl import read_revoked, revoke
from loadgen.identity.directory import read_directory
from loadgen.identity.layouts import parse_layout
from loadgen.identity.lifetime import Moment
from loadgen.identity.listing import read_csv
from loadgen.identity.pkcs12 import read_containers
from loadgen.identity.request import ClientRequest
from loadgen.identity.sets import Place, issue_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadgen.errors import Problem
    from loadgen.identity.authority import Progress
    from loadgen.identity.identity import Identity
    from loadgen.identity.specs import CsvSpec, DirectorySpec, IssueSpec, Pkcs12Spec, SetSpec, TemplateSpec

_NS_PER_S = 1_000_000_000


def prepare_sets(
    specs: Mapping[str, SetSpec],
    *,
    needed: Callable[[str], int] = lambda _: 1,
    progress: Progress | None = None,
) -> dict[str, list[Identity]]:
    """Issue or read all sets of a scenario.

    Args:
        specs: set name → what the scenario says of it.
        needed: set name → how many clients will use it.
        progress: called with (done, to do) while issuing.

    Raises:
        ConfigError: what is wrong with any of them, all at once.
    """
    prepared: dict[str, list[Identity]] = {}
    problems: list[Problem] = []
    for name, spec in specs.items():
        try:
            prepared[name] = prepare_set(name, spec, needed=needed(name), progress=progress)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return prepared


def prepare_set(
    set_name: str, spec: SetSpec, *, needed: int = 1, progress: Progress | None = None
) -> list[Identity]:
    """Issue (only what doesn't fit any more) or read the identities of a set.

    Args:
        set_name: the set's key in the scenario; the field `{set}` of its templates.
        spec: the set in the scenario.
        needed: how many clients will use it: how many names to make of a `names` template; issued sets have
            their own count.
        progress: called with (done, to do) while issuing.

    Returns:
        The identities in the order of their index.

    Raises:
        ConfigError: as `issue_requests`, `read_directory`, `read_csv` and `read_containers`; a certificate
            that does not lead to the set's `ca`.
    """
    if spec.issue is not None:
        return _issue(set_name, spec.issue, progress)
    if spec.directory is not None:
        identities, ca = _directory(set_name, spec.directory, needed), spec.directory.ca
    elif spec.csv is not None:
        identities, ca = _csv(spec.csv), spec.csv.ca
    else:
        assert spec.pkcs12 is not None
        identities, ca = _pkcs12(set_name, spec.pkcs12, needed), spec.pkcs12.ca
    if ca is not None and (problems := check_trust(identities, Path(ca))):
        raise ConfigError(problems)
    return identities


def planned_set(set_name: str, spec: IssueSpec) -> list[Identity]:
    """The identities that a set to be issued will have, as far as their names go: nothing is made.

    Serial number and dates are missing, and the files need not be there.

    Raises:
        ConfigError: a name that X.509 cannot hold.
    """
    out = Path(spec.out)
    return [planned_identity(request, out) for request in requests_of(set_name, spec)]


def _directory(set_name: str, spec: DirectorySpec, needed: int) -> list[Identity]:
    layout = None
    if spec.certificate is not None and spec.key is not None:
        layout = parse_layout(spec.certificate, spec.key)
    only = _names(set_name, spec.names, needed)
    return read_directory(Path(spec.path), only, layout=layout, key_password=spec.key_password)


def _csv(spec: CsvSpec) -> list[Identity]:
    return read_csv(
        Path(spec.path), where=spec.where, delimiter=spec.delimiter, key_password=spec.key_password
    )


def _pkcs12(set_name: str, spec: Pkcs12Spec, needed: int) -> list[Identity]:
    return read_containers(Path(spec.path), _names(set_name, spec.names, needed), spec.password)


def _names(set_name: str, template: TemplateSpec | None, needed: int) -> list[str] | None:
    if template is None:
        return None
    made = (template.render({"index": index, "set": set_name}) for index in range(needed))
    return list(dict.fromkeys(made))  # a template without {index} is one name


def _issue(set_name: str, spec: IssueSpec, progress: Progress | None) -> list[Identity]:
    place = Place(Path(spec.out), spec.intermediates, spec.ca_password, spec.key_password)
    issued = issue_requests(set_name, requests_of(set_name, spec), place, progress)
    if spec.revoked and {each.serial for each in issued} - {each.serial for each in read_revoked(place.out)}:
        revoke(place.out, [each.certificate for each in issued], password=spec.ca_password)
    return issued


def requests_of(set_name: str, spec: IssueSpec) -> list[ClientRequest]:
    """What a set asks to be issued, in the order of the index."""
    return list(map(_maker(set_name, spec), range(spec.count)))


def _maker(set_name: str, spec: IssueSpec) -> Callable[[int], ClientRequest]:
    """What gives the request of an index; all that is the same for each is looked up once."""
    sans = {kind: templates for kind, templates in spec.san.by_type().items() if templates}
    parts = spec.subject_parts()
    not_before, not_after = _moment(spec.not_before), _moment(spec.not_after)
    valid_for_s = max(1, spec.valid_for // _NS_PER_S)

    def make(index: int) -> ClientRequest:
        fields: dict[str, object] = {"index": index, "set": set_name}
        return ClientRequest(
            spec.common_name.render(fields),
            {kind: tuple(each.render(fields) for each in templates) for kind, templates in sans.items()},
            None if spec.organization is None else spec.organization.render(fields),
            spec.key,
            valid_for_s,
            not_before,
            not_after,
            {key: template.render(fields) for key, template in parts.items()},
            tuple(spec.extended_key_usage),
        )

    return make


def _moment(value: tuple[float, bool] | None) -> Moment | None:
    return None if value is None else Moment(*value)
