"""Users without password for certificate identities, and the permissions an MQTT client needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loadgen.broker.management import Management

TAG = "loadgen"
"""The tag on users we made: it gives no right, and tells them from everyone else's."""

BATCH = 500
"""Users in one import: about half a second on a node that does nothing else."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Three regular expressions, as RabbitMQ has them; the default is enough for MQTT and no more.

    A subscription is a queue `mqtt-subscription-<client id>qos0|1` bound to `amq.topic`; a publish is a write
    to `amq.topic`. RabbitMQ expands no variables here, so one client could still touch another's queue.
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
class ProvisionResult:
    """How many users were touched, and which were left alone."""

    created: int
    """Users that did not exist."""
    updated: int
    """Users that lacked the permissions: ours with others, or anyone's with none in this virtual host."""
    unchanged: int
    """Users that were right already."""
    foreign: tuple[str, ...] = ()
    """Users that someone else made, with permissions of their own: left as they are."""
    dry_run: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self) | {"foreign": list(self.foreign)}


async def provision(
    management: Management,
    user_names: Iterable[str],
    *,
    vhost: str = "/",
    permissions: Permissions | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ProvisionResult:
    """Make sure that every user exists, without a password and with permissions; safe to repeat.

    A user without a password can log in by certificate only. Users that exist keep password and tags.

    Args:
        management: an API login with the tag `administrator`.
        user_names: the users, as the brokers read them from certificates; repeated ones count once.
        vhost: virtual host of the permissions.
        permissions: what they may do; MQTT and no more when left out.
        dry_run: look and count, change nothing.
        progress: called with (done, to do) after each batch.

    Raises:
        ConfigError: a name that RabbitMQ would not take as a user name, all of them at once.
        ManagementError: the API refused or did not answer.
    """
    names = list(dict.fromkeys(user_names))
    _refuse_split_names(names)
    wanted = permissions or Permissions()
    want = (wanted.configure, wanted.write, wanted.read)
    users = await management.users()
    granted = await management.permissions(vhost)
    create = [name for name in names if name not in users]
    have = [name for name in names if name in users]
    foreign = [name for name in have if TAG not in users[name] and granted.get(name, want) != want]
    left_alone = set(foreign)
    update = [name for name in have if granted.get(name) != want and name not in left_alone]
    todo = create + update
    new = set(create)
    if not dry_run:
        for start in range(0, len(todo), BATCH):
            batch = todo[start : start + BATCH]
            await management.import_definitions(
                {
                    "users": [
                        {"name": name, "password_hash": "", "tags": [TAG]} for name in batch if name in new
                    ],
                    "permissions": [{"user": name, "vhost": vhost} | asdict(wanted) for name in batch],
                }
            )
            if progress is not None:
                progress(start + len(batch), len(todo))
    unchanged = len(names) - len(todo) - len(foreign)
    return ProvisionResult(len(create), len(update), unchanged, tuple(foreign), dry_run=dry_run)


async def missing_users(management: Management, user_names: Iterable[str], *, vhost: str = "/") -> list[str]:
    """Name the users, in the order given, that do not exist or have no permissions in the virtual host.

    Such a client is refused after 3 s with 0x86 (no user) or 0x87 (no permissions).
    """
    users = await management.users()
    granted = await management.permissions(vhost)
    return [name for name in dict.fromkeys(user_names) if name not in users or name not in granted]


async def remove_provisioned(
    management: Management, user_names: Iterable[str] | None = None, *, dry_run: bool = False
) -> int:
    """Delete users that `provision` made, and never others; return how many.

    Args:
        management: an API login with the tag `administrator`.
        user_names: which ones; all that carry our tag when None.
        dry_run: count, delete none.
    """
    ours = [name for name, tags in (await management.users()).items() if TAG in tags]
    if user_names is not None:
        asked = set(user_names)
        ours = [name for name in ours if name in asked]
    for start in range(0, 0 if dry_run else len(ours), BATCH):
        await management.delete_users(ours[start : start + BATCH])
    return len(ours)


def _refuse_split_names(names: list[str]) -> None:
    """Refuse names that RabbitMQ's MQTT plugin does not take whole as a user name."""
    bad = [name for name in names if not name or ":" in name]
    if bad:
        shown = ", ".join(repr(name) for name in bad[:5])
        raise ConfigError(
            f"{len(bad)} of {len(names)} user names cannot log in: {shown}",
            "RabbitMQ reads `a:b` as user b in virtual host a, and needs a name: change the common names",
        )
