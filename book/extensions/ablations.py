"""The directive `{ablations}`: a table of the safeguards that were taken out, and the seeds that showed it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

TABLE = "ablations.json"
"""Where the build lays the command's output, among the sources."""
HEAD = ("experiment", "ablation", "what its checker denies", "fails without it", "fails with it", "first failing seed")


class Ablations(Directive):
    """All ablations of the catalogue, as a table, and the first counterexample to each."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """The table, and the counterexamples."""
        environment = self.state.document.settings.env
        file = Path(environment.srcdir, TABLE)
        if not file.is_file():
            raise self.error("the build has not made the table of ablations.")
        environment.note_dependency(str(file))
        hunts = json.loads(file.read_text(encoding="utf-8"))
        return [table(hunts), *counterexamples(hunts)]


def table(hunts: Iterable[dict[str, Any]]) -> nodes.table:
    """The table as a document's nodes."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in HEAD), cols=len(HEAD))
    group += nodes.thead("", row(HEAD))
    group += nodes.tbody("", *(row(cells(hunt)) for hunt in hunts))
    return nodes.table("", group)


def cells(hunt: dict[str, Any]) -> tuple[str, ...]:
    """What the table says of one ablation."""
    shares = (f"{hunt[name]} of {hunt['tried']}" for name in ("fails_without", "fails_with"))
    return hunt["experiment"], hunt["ablation"], hunt["checker"], *shares, str(hunt["seed"])


def row(texts: tuple[str, ...]) -> nodes.row:
    """One row of a table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in texts))


def counterexamples(hunts: Iterable[dict[str, Any]]) -> list[nodes.raw]:
    """The first counterexample to each, folded: they are long, and a reader wants one or two."""
    return [nodes.raw("", folded(hunt), format="html") for hunt in hunts]


def folded(hunt: dict[str, Any]) -> str:
    """One counterexample in HTML, under a heading that opens it."""
    title = f"{hunt['experiment']}, {hunt['ablation']}: seed {hunt['seed']}"
    story = "\n".join([f"{hunt['explanation']}.", *hunt["counterexample"]])
    return f"<details class='counterexample'><summary>{escape(title)}</summary><pre>{escape(story)}</pre></details>"


def setup(app: Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_directive("ablations", Ablations)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
