"""Users without password for certificate identities, and the permissions an MQTT client needs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from loadgen.broker.management import ManagementError
from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loadgen.broker.management import Management

TAG = "loadgen"
"""The tag on users we made: it gives no right, and tells them from everyone else's."""

BATCH = 500
"""Users in one import: about half a second on a node that does nothing else."""

_AT_A_TIME = 16
"""Requests under way where the API takes one user a request."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Three regular expressions, as RabbitMQ has them; the default is enough for MQTT and no more.

    A subscription is a queue `mqtt-subscription-<client id>qos0|1` bound to `amq.topic`; a publish is a write
    to `amq.topic`. RabbitMQ expands no variables here. Empty: nothing.
    """

    configure: str = r"^mqtt-subscription-.+qos[01]$"
    write: str = r"^(amq\.topic|mqtt-subscription-.+qos[01])$"
    read: str = r"^(amq\.topic|mqtt-subscription-.+qos[01])$"

    @classmethod
    def with_delayed_wills(cls) -> Permissions:
        """What it takes besides to have a will published after a delay: a queue, and a way out of it.

        RabbitMQ keeps such a will in a queue `mqtt-will-<client id>`, which expires into `amq.topic` by way
        of the default exchange.
        """
        return cls(
            configure=r"^(mqtt-subscription-.+qos[01]|mqtt-will-.+)$",
            write=r"^(amq\.topic|amq\.default|mqtt-subscription-.+qos[01]|mqtt-will-.+)$",
            read=r"^(amq\.topic|mqtt-subscription-.+qos[01]|mqtt-will-.+)$",
        )


@dataclass(frozen=True, slots=True)
class TopicPermissions:
    """Regular expressions on routing keys of `amq.topic`: topics with `.` for `/`.

    RabbitMQ puts values in the place of `{client_id}` and `{username}` here. Empty: nothing.
    """

    write: str
    read: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user may do in one virtual host."""

    user: str
    vhost: str = "/"
    permissions: Permissions | None = Permissions()
    """None: no entry in the virtual host, so that the broker refuses its connections."""
    topics: TopicPermissions | None = None
    """None: every topic."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done about one user."""

    action: Literal["create", "update"]
    grant: Grant

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {"action": self.action, **asdict(self.grant)}

    def __str__(self) -> str:
        """One line, with the regular expressions."""
        may, topics = self.grant.permissions, self.grant.topics
        if may is None:
            return f"{self.action} {self.grant.user!r}, without permissions in {self.grant.vhost}"
        line = (
            f"{self.action} {self.grant.user!r} in {self.grant.vhost}: configure {may.configure!r}, "
            f"write {may.write!r}, read {may.read!r}"
        )
        return line if topics is None else f"{line}; topics: write {topics.write!r}, read {topics.read!r}"


@dataclass(frozen=True, slots=True)
class ProvisionResult:
    """How many users were touched, and which were left alone."""

    created: int
    """Users that did not exist."""
    updated: int
    """Users of ours that had other permissions."""
    unchanged: int
    """Users that were right already."""
    foreign: tuple[str, ...] = ()
    """Users that someone else made, without just these permissions: left as they are."""
    dry_run: bool = False
    changes: tuple[Change, ...] = field(default=(), compare=False)
    """What was done, or in a dry run would have been."""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; the changes one by one in a dry run only."""
        result = {key: getattr(self, key) for key in ("created", "updated", "unchanged", "dry_run")}
        result["foreign"] = list(self.foreign)
        return result | ({"changes": [each.to_dict() for each in self.changes]} if self.dry_run else {})


async def provision(
    management: Management,
    user_names: Iterable[str],
    *,
    vhost: str = "/",
    permissions: Permissions | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ProvisionResult:
    """Give all users the same permissions; as `provision_grants`."""
    may = permissions or Permissions()
    grants = [Grant(name, vhost, may) for name in user_names]
    return await provision_grants(management, grants, dry_run=dry_run, progress=progress)


async def provision_grants(
    management: Management,
    grants: Iterable[Grant],
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ProvisionResult:
    """Make sure that every user exists, without a password, and may do what is granted; safe to repeat.

    A user without a password can log in by certificate only. Users that someone else made are never touched.

    Args:
        management: an API login with the tag `administrator`.
        grants: the users, as the brokers read them from certificates, and what they may do; of two for a
            user and virtual host the last counts.
        dry_run: look and list, change nothing.
        progress: called with (done, to do) after each batch.

    Raises:
        ConfigError: a user without a name, or a virtual host that does not exist.
        ManagementError: the API refused or did not answer.
    """
    wanted = {(grant.user, grant.vhost): grant for grant in grants}
    if any(not user for user, _ in wanted):
        raise ConfigError("a user has no name", "RabbitMQ takes it from the certificate: give it that name")
    users = await management.users()
    topics = await management.topic_permissions()
    have = {vhost: await _permissions(management, vhost) for vhost in {vhost for _, vhost in wanted}}
    changes: list[Change] = []
    foreign: list[str] = []
    unchanged = 0
    for (user, vhost), grant in wanted.items():
        if user not in users:
            changes.append(Change("create", grant))
            continue
        may, limits = grant.permissions, grant.topics
        want = (
            may and (may.configure, may.write, may.read),
            limits and (limits.write, limits.read),
        )
        if want == (have[vhost].get(user), topics.get((user, vhost))):
            unchanged += 1
        elif TAG in users[user]:
            changes.append(Change("update", grant))
        else:
            foreign.append(user)
    for start in range(0, 0 if dry_run else len(changes), BATCH):
        batch = changes[start : start + BATCH]
        await management.import_definitions(_definitions(batch))
        await _lift_limits(
            management, [each.grant for each in batch if (each.grant.user, each.grant.vhost) in topics]
        )
        for each in batch:
            if each.grant.permissions is None and each.grant.user in have[each.grant.vhost]:
                await management.delete_permissions(each.grant.user, each.grant.vhost)
        if progress is not None:
            progress(start + len(batch), len(changes))
    created = sum(change.action == "create" for change in changes)
    return ProvisionResult(
        created, len(changes) - created, unchanged, tuple(foreign), dry_run=dry_run, changes=tuple(changes)
    )


async def missing_users(management: Management, user_names: Iterable[str], *, vhost: str = "/") -> list[str]:
    """Name the users, in the order given, that do not exist or have no permissions in the virtual host.

    Such a client is refused after 3 s with 0x86 (no user) or 0x87 (no permissions).
    """
    users = await management.users()
    granted = await management.permissions(vhost)
    return [name for name in dict.fromkeys(user_names) if name not in users or name not in granted]


async def missing_accounts(management: Management, accounts: Mapping[str, Sequence[str]]) -> list[str]:
    """As `missing_users`, for the users of several virtual hosts: vhost → users.

    Raises:
        ManagementError: among others, there is no such virtual host.
    """
    missing: list[str] = []
    for vhost, users in accounts.items():
        missing += await missing_users(management, users, vhost=vhost)
    return missing


async def remove_provisioned(
    management: Management, user_names: Iterable[str] | None = None, *, dry_run: bool = False
) -> list[str]:
    """Delete users that `provision` made, and never others; return their names.

    Args:
        management: an API login with the tag `administrator`.
        user_names: which ones; all that carry our tag when None.
        dry_run: look, delete none.
    """
    ours = [name for name, tags in (await management.users()).items() if TAG in tags]
    if user_names is not None:
        asked = set(user_names)
        ours = [name for name in ours if name in asked]
    for start in range(0, 0 if dry_run else len(ours), BATCH):
        await management.delete_users(ours[start : start + BATCH])
    return ours


def _definitions(changes: list[Change]) -> dict[str, Any]:
    new = dict.fromkeys(change.grant.user for change in changes if change.action == "create")
    grants = [change.grant for change in changes]
    return {
        "users": [{"name": name, "password_hash": "", "tags": [TAG]} for name in new],
        "permissions": [
            {"user": each.user, "vhost": each.vhost} | asdict(each.permissions)
            for each in grants
            if each.permissions is not None
        ],
        "topic_permissions": [
            {"user": each.user, "vhost": each.vhost, "exchange": "amq.topic"} | asdict(each.topics)
            for each in grants
            if each.topics is not None
        ],
    }


async def _lift_limits(management: Management, grants: list[Grant]) -> None:
    """Take away topic permissions of an earlier call where there are to be none."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def lift(grant: Grant) -> None:
        async with places:
            await management.delete_topic_permissions(grant.user, grant.vhost)

    await asyncio.gather(*(lift(grant) for grant in grants if grant.topics is None))


async def _permissions(management: Management, vhost: str) -> dict[str, tuple[str, str, str]]:
    try:
        return await management.permissions(vhost)
    except ManagementError as error:
        if error.status != 404:
            raise
        raise ConfigError(
            f"the brokers have no virtual host {vhost!r}",
            "make it first; it is login.vhost, or what is before the last colon of a certificate's name",
        ) from error
