"""Copies of what nodes send and store: a message passed by reference would share state that no network shares."""

from __future__ import annotations

import pickle
from typing import Any

_IMMUTABLE = frozenset({int, float, str, bytes, bool, type(None)})


def snapshot(value: Any) -> Any:
    """A value that later changes to `value` cannot reach; values that cannot change are returned as they are.

    Everything else goes through pickle, as it does on a real network, so what cannot be sent fails in both
    runtimes.
    """
    return value if _cannot_change(value) else pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def _cannot_change(value: Any) -> bool:
    kind = type(value)
    if kind in _IMMUTABLE:
        return True
    if isinstance(value, tuple):
        # A loop, not all(...): this runs for every message, and a generator costs more than the test.
        for part in value:  # noqa: SIM110
            if type(part) not in _IMMUTABLE and not _cannot_change(part):
                return False
        return True
    return kind is dict and not value
