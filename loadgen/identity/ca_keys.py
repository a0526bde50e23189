"""Private keys of CAs where they should not be: whoever has one can be any client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

_NAMES = ("ca_key.pem", "ca.key", "ca-key.pem", "ca.key.pem", "cakey.pem", "rootCA-key.pem", "rootCA.key")
"""How tls-gen, easy-rsa, cfssl, openssl's and mkcert's users call the key of a CA."""
_INTERMEDIATES = "intermediate_*_key.pem"
_GROUP_AND_OTHERS = 0o077


def check_ca_keys(folders: Iterable[Path], ours: Collection[Path] = ()) -> list[Problem]:
    """Find CA keys that others may read, or that lie beside certificates which clients are given from.

    Args:
        folders: where the clients' certificates are.
        ours: those of them that are loadgen's own CAs, where the key belongs.

    Returns:
        Warnings.
    """
    own = {folder.resolve() for folder in ours}
    problems = []
    for folder in dict.fromkeys(folders):
        for key in _keys_in(folder):
            mode = key.stat().st_mode & 0o777
            if mode & _GROUP_AND_OTHERS:
                what = f"the CA's private key can be read by others (mode {mode:03o})"
                problems.append(Problem(str(key), what, "chmod 600 it", warning=True))
            if folder.resolve() not in own:
                what = (
                    "the CA's private key lies beside the clients' certificates: who has it can be any client"
                )
                mend = "keep it only where certificates are issued; a run does not need it"
                problems.append(Problem(str(key), what, mend, warning=True))
    return problems


def _keys_in(folder: Path) -> list[Path]:
    named = [folder / name for name in _NAMES] + [folder / "private" / name for name in _NAMES]
    return [path for path in (*named, *sorted(folder.glob(_INTERMEDIATES))) if path.is_file()]
