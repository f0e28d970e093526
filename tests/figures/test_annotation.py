"""Code with notes: the lines that the function has, and no note beside a line that has moved on."""

from __future__ import annotations

import pytest

from labkit.errors import BadInput
from labkit.figures import annotated
from labkit.protocols.quorums import QuorumClient


class Store:
    async def get(self, key: str) -> str:
        """The value.

        Never raises.
        """
        answers = await self.ask(key)
        return max(answers)  # the newest & best

    async def ask(self, key: str) -> list[str]:
        return [
            f"""a
        {key}"""
        ]


def test_the_docstring_is_left_out_and_nothing_else() -> None:
    assert str(annotated(Store.get, {})).splitlines() == [
        "async def get(self, key: str) -> str:",
        "    answers = await self.ask(key)",
        "    return max(answers)  # the newest & best",
    ]


def test_a_note_stands_behind_its_line_and_below_it() -> None:
    shown = annotated(Store.get, {"await": "all <three>", "max(": "by version"})
    assert "    answers = await self.ask(key)             # all <three>" in str(shown).splitlines()
    page = shown._repr_html_()
    assert page.count("<code>") == 3
    row = next(row for row in page.split("<code>") if "ask" in row)
    assert "<p style='margin-left:4ch'>↑ all &lt;three&gt;</p>" in row and '<span class="k">await</span>' in row


def test_text_over_several_lines_keeps_its_rows() -> None:
    assert annotated(Store.ask, {"{key}": "here"})._repr_html_().count("<code>") == 5


@pytest.mark.parametrize(
    ("notes", "sentence"),
    [
        ({"first(": "…"}, "notes has 'first(': 0 lines of Store.get contain it, not one"),
        ({"answers": "…"}, "notes has 'answers': 2 lines of Store.get contain it, not one"),
        ({"await": "…", "ask": "…"}, "notes has 'ask': the line that contains it has a note already"),
    ],
)
def test_a_note_that_fits_no_line_or_several_is_refused(notes: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        annotated(Store.get, notes)
    assert str(refused.value) == sentence


def test_it_shows_a_protocol() -> None:
    assert '"""' not in str(annotated(QuorumClient.get, {"self._newest": "asks all replicas"}))
