"""Copies of what nodes send and store: a message passed by reference would share state that no network shares."""

from __future__ import annotations

import pickle
from typing import Any

IMMUTABLE: set[type] = {int, float, str, bytes, bool, type(None)}
"""Types whose values cannot change; a module that defines another adds it here."""


def snapshot(value: Any) -> Any:
    """A value that later changes to `value` cannot reach; values that cannot change are returned as they are.

    Everything else goes through pickle, as it does on a real network, so what cannot be sent fails in both
    runtimes.
    """
    return value if cannot_change(value) else pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def cannot_change(value: Any) -> bool:
    """Whether `value` is made of nothing but types that cannot change."""
    if type(value) in IMMUTABLE:
        return True
    if not isinstance(value, tuple):
        return False
    # Loops, not all(...), and two levels written out: this runs for every message.
    for part in value:
        kind = type(part)
        if kind is tuple:
            for inner in part:
                if type(inner) not in IMMUTABLE and not cannot_change(inner):
                    return False
        elif kind not in IMMUTABLE and not cannot_change(part):
            return False
    return True
