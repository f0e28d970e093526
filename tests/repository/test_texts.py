"""What readers are told: the guide's headings are all there, nothing is promised, and sentences end in time."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
HEADINGS = (Path(__file__).parent / "guide_headings.txt").read_text().splitlines()
LABS = sorted((ROOT / "labs").glob("[0-9][0-9]_*.ipynb"))
CHAPTERS = sorted((ROOT / "book").glob("*.md"))
LONGEST = 35
"""Words that a sentence may have; most have fewer than twenty."""

PROMISE = re.compile(r"\b[Ll]ab (\d\d)\b")


def prose(path: Path) -> str:
    """The running text of a page or notebook, a paragraph a line: no code, tables, formulas, or literature."""
    if path.suffix == ".ipynb":
        text = "\n\n".join(
            cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"
        )
    else:
        text = path.read_text()
    text = text.partition("\n## Further reading")[0]
    text = re.sub(r"^(```|~~~|:::).*?^\1", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$", "\n\n", text, flags=re.DOTALL)
    text = re.sub(r"\$[^$]*\$", "x", text)
    text = re.sub(r"\{[\w-]+\}`([^`<]*)(<[^>]*>)?`", r"\1", text)
    text = re.sub(r"\]\([^)]*\)", "", text)
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.|:) )", text)
    return "\n".join(" ".join(each.split()) for each in paragraphs if not each.lstrip().startswith(("|", "#", ":::")))


def sentences(text: str) -> list[str]:
    """The sentences of a text; a colon or a semicolon also ends what a reader has to hold in mind."""
    return [part for line in text.splitlines() for part in re.split(r"(?<=[.?!:;])[\"”)*_]*\s+", line) if part]


@pytest.mark.parametrize("path", [*LABS, *CHAPTERS], ids=lambda path: path.stem)
def test_no_sentence_is_too_long_to_be_read_once(path: Path) -> None:
    long = [part for part in sentences(prose(path)) if len(part.split()) > LONGEST]
    assert not long, "\n".join(long)


def test_a_long_sentence_would_be_seen() -> None:
    assert max(len(part.split()) for part in sentences("One two. " + "word " * 36 + "end.")) == 37
    assert [len(part.split()) for part in sentences("Short: shorter. Yes?")] == [1, 1, 1]


def test_the_guides_page_has_every_heading_in_order() -> None:
    page = (ROOT / "book/the_guide.md").read_text()
    place = 0
    for heading in HEADINGS:
        level, _, name = heading.partition(" ")
        line = rf"^## \d+\. {re.escape(name)}$" if level == "##" else rf"^\* {re.escape(name)}(:|$)"
        found = re.compile(line, re.MULTILINE).search(page, place)
        assert found, f"{heading} is missing, or out of order"
        place = found.end()


def test_the_guides_page_leads_to_every_lab_and_chapter() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)\)", (ROOT / "book/the_guide.md").read_text()))
    assert all((ROOT / "book" / link).is_file() for link in linked)
    assert {f"../labs/{lab.name}" for lab in LABS} <= linked
    taught = {lab.stem.partition("_")[2] + ".md" for lab in LABS}
    assert taught <= linked


@pytest.mark.parametrize("path", [*LABS, *CHAPTERS, ROOT / "README.md"], ids=lambda path: path.stem)
def test_no_lab_is_promised_that_does_not_stand(path: Path) -> None:
    numbers = {lab.name[:2] for lab in LABS}
    text = path.read_text()
    assert set(PROMISE.findall(text)) <= numbers
