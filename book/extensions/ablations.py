"""The directive `{ablations}`: a table of the safeguards that were taken out, and the seeds that showed it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

TABLE = "ablations.json"
"""Where the build lays the command's output, among the sources."""
HEAD = ("experiment", "ablation", "what its checker denies", "first failing seed")


class Ablations(Directive):
    """All ablations of the catalogue, as a table."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """The table."""
        environment = self.state.document.settings.env
        file = Path(environment.srcdir, TABLE)
        if not file.is_file():
            raise self.error("the build has not made the table of ablations.")
        environment.note_dependency(str(file))
        return [table(json.loads(file.read_text(encoding="utf-8")))]


def table(found: list[dict[str, Any]]) -> nodes.table:
    """The table as a document's nodes."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in HEAD), cols=len(HEAD))
    rows = [(each["experiment"], each["ablation"], each["checker"], str(each["seed"])) for each in found]
    group += nodes.thead("", row(HEAD))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group)


def row(cells: tuple[str, ...]) -> nodes.row:
    """One row of a table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_directive("ablations", Ablations)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
