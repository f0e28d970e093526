"""One wording for keys and values, wherever a history is shown."""

from __future__ import annotations

import pytest

from labkit.clocks import Timestamp
from labkit.history import Operation
from labkit.naming import Names


def operation(function="read", key="key-0", value=None, outcome="ok", process="client-1.0"):
    return Operation(process, function, key, value, 0, 1, outcome)


HISTORY = [
    operation("write", "key-3", "client-1.0"),
    operation("read", "key-0", "client-2.7"),
    operation("write", "key-3", "client-2.0"),
    operation("write", "key-0", "client-1.1"),
]


@pytest.mark.parametrize(
    ("shown", "both"),
    [
        (operation("write", "key-3", "client-2.0"), "write x = 2"),
        (operation("read", "key-3", "client-1.0"), "read x → 1"),
        (operation("read", "key-3"), "read x → nothing"),
        (operation("read", "key-3", outcome="unknown"), "read x"),
        (operation("write", "key-3", "client-1.0", "fail"), "write x = 1 → refused"),
        (operation("read", "key-0", ("client-1.1", "client-2.7")), "read y → {1, 2}"),
        (operation("write", "storage", 3), "write storage = 3"),
        (operation("write", 20, "client-9.9"), "write 20 = client-9.9"),
        (operation("read", "x", Timestamp(57_500, 0, "a")), "read x → 57.5 ms"),
        (operation("book", ("flight-8", "account-20"), "client-1.0"), "book flight-8"),
        (operation("order", "users/10", "processing"), "order users/10 → processing"),
        (operation("resize", 1), "resize 1"),
    ],
)
def test_an_operation_in_a_few_words(shown, both):
    assert Names.of(HISTORY).both(shown) == both


def test_the_seventh_key_still_has_a_name_of_its_own():
    names = Names.of([operation("write", f"key-{number}", 1) for number in range(9)])
    assert len(set(names.keys.values())) == 9 and names.keys["key-8"] == "k9"
