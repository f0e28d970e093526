"""The bibliography calls each entry what the text calls it: by its authors and year."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as PlainStyle
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx

NAME = "author_year"


def setup(_app: Sphinx) -> dict[str, object]:
    """Let `bibtex_default_style` find the style by its name."""
    register_plugin("pybtex.style.formatting", NAME, Style)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class Labels(BaseLabelStyle):
    """``Little, 1961``; ``Dean and Barroso, 2013``; ``Bailis et al., 2012``."""

    def format_labels(self, sorted_entries: Iterable[Entry]) -> Iterator[str]:
        """A label for each entry, in the order given."""
        return map(label, sorted_entries)


class Style(PlainStyle):
    """Pybtex's plain style with these labels."""

    default_label_style = Labels


def label(entry: Entry) -> str:
    """What the text calls an entry."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [" ".join(map(str, [*person.rich_prelast_names, *person.rich_last_names])) for person in people]
    if len(names) > 2 or names[1:] == ["others"]:
        names = [f"{names[0]} et al."]
    return f"{' and '.join(names) or entry.key}, {entry.fields.get('year', 'no year')}"
