"""Short names for the keys and values of a history, the same wherever the history is shown: ``write x = 1``.

Labs name keys and values so that each is told from all others: ``write client-1/0 = client-1.0``. A reader of a few
operations needs less. Keys with a number in their names become x, y, z, …, in the order in which they occur, and such
values become 1, 2, 3, … in the order in which they were written to their key. Words and numbers stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from labkit.calls import FAIL
from labkit.clocks import Timestamp
from labkit.history import Operation

LETTERS = "xyzuvw"
LONGEST_VALUE = 16
MOST_VALUES = 4
NOTHING = "nothing"
REGISTER = ("read", "write")
"""The functions whose keys and values get short names; other operations are about something that has a name."""


@dataclass
class Names:
    """The short names of one history."""

    keys: dict[Any, str] = field(default_factory=dict)
    values: dict[tuple[Any, Any], str] = field(default_factory=dict)

    @classmethod
    def of(cls, operations: Iterable[Any]) -> Names:
        """Those of a history; whatever is no operation is passed over."""
        registers = [each for each in operations if isinstance(each, Operation) and each.function in REGISTER]
        names, known = cls(), Counter[Any]()
        for operation in registers:
            if _is_made_up(operation.key) and operation.key not in names.keys:
                names.keys[operation.key] = _letter(len(names.keys))
        # What was written comes first: a part of a history may have reads without the writes that they saw.
        for operation in sorted(registers, key=lambda each: each.function != "write"):
            for value in operation.value if isinstance(operation.value, (tuple, list)) else (operation.value,):
                if _is_made_up(value) and (operation.key, value) not in names.values:
                    known[operation.key] += 1
                    names.values[operation.key, value] = str(known[operation.key])
        return names

    def key(self, key: Any) -> str:
        """A key as it is shown."""
        return self.keys[key] if _is_made_up(key) and key in self.keys else plain(key)

    def value(self, key: Any, value: Any) -> str:
        """A value of that key as it is shown; a set of siblings in braces."""
        if value is None:
            return NOTHING
        if isinstance(value, (tuple, list)) and not isinstance(value, Timestamp):
            shown = [self.value(key, each) for each in value[:MOST_VALUES]]
            return "{" + ", ".join(shown + ["…"] * (len(value) > MOST_VALUES)) + "}" if value else NOTHING
        return self.values.get((key, value), plain(value)) if _is_made_up(value) else plain(value)

    def label(self, operation: Operation) -> str:
        """What was asked for, in a few words: ``write x = 1``, ``read x``; `result` is what came of it."""
        key = "" if operation.key is None else f" {self.key(operation.key)}"
        if operation.function != "write" or operation.value is None:
            return f"{operation.function}{key}"
        return f"write{key} = {self.value(operation.key, operation.value)}"

    def result(self, operation: Operation) -> str:
        """What came of it, if the response says more than that it was done: what a read returned, a refusal."""
        if operation.outcome == FAIL:
            return "refused"
        if not operation.ok or operation.function == "write":
            return ""
        if operation.function != "read" and operation.value in (None, operation.process):
            return ""  # what bears the name of its process says nothing more
        return self.value(operation.key, operation.value)

    def both(self, operation: Operation) -> str:
        """Both in one: ``read x → 1``."""
        result = self.result(operation)
        return self.label(operation) + (f" → {result}" if result else "")


def plain(value: Any) -> str:
    """A key or value in a few characters: a time in milliseconds, the parts of a tuple one after the other."""
    if isinstance(value, Timestamp):
        return f"{value.physical_us / 1e3:.1f} ms" + (f"+{value.counter}" if value.counter else "")
    if isinstance(value, tuple):
        return plain(value[0]) if value else NOTHING
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1].rstrip() + "…"


def _is_made_up(name: Any) -> bool:
    return isinstance(name, str) and len(name) > 2 and any(character.isdigit() for character in name)


def _letter(place: int) -> str:
    return LETTERS[place] if place < len(LETTERS) else f"k{place + 1}"
