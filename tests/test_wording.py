"""Words for numbers, where English has exceptions."""

from __future__ import annotations

import pytest

from labkit.wording import ordinal


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (10, "10th"), (11, "11th"), (12, "12th"), (13, "13th"),
     (21, "21st"), (111, "111th"), (122, "122nd")],
)  # fmt: skip
def test_a_place_in_an_order_is_spoken_as_in_english(number, text):
    assert ordinal(number) == text
