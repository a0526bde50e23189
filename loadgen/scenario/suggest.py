"""The nearest known word to a mistyped one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word most like `word`, or None when none is close."""
    by_fold = {candidate.lower(): candidate for candidate in known}
    # One wrong letter in a word of two or three is half of it.
    cutoff = 0.6 if len(word) > 3 else 0.5
    found = difflib.get_close_matches(word.lower(), by_fold, n=1, cutoff=cutoff)
    return by_fold[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give a mend: the nearest known word, or the whole list when none is close."""
    words = list(known)
    close = nearest(word, words)
    if close is not None:
        return f'did you mean "{close}"?'
    return f"known: {', '.join(words)}" if words else ""
