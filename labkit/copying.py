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
    if type(value) is not tuple:
        return type(value) in IMMUTABLE or (isinstance(value, tuple) and all(map(cannot_change, value)))
    for part in value:
        kind = type(part)
        # A flat tuple within is checked without a step of Python for each part: this runs for every message.
        if kind in IMMUTABLE or (kind is tuple and IMMUTABLE.issuperset(map(type, part))):
            continue
        if not cannot_change(part):
            return False
    return True
