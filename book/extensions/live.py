"""Live figures among the pages: pages that hold one load its program, and a directive shows one on another page.

The directive is `{live}`; its arguments are the notebook's stem and the figure's name, as in `09_quorums staleness`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

FIGURES = "live"
"""Where the build lays the figures' HTML, among the sources: a folder for each notebook, a file for each figure."""
MARKS = ("data-labkit-live=", "data-labkit-prediction=")


class Live(Directive):
    """The figure of a lab, by the notebook's stem and the figure's name."""

    required_arguments = 2
    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """The figure's HTML."""
        stem, name = self.arguments
        environment = self.state.document.settings.env
        file = Path(environment.srcdir, FIGURES, stem, f"{name}.html")
        if not file.is_file():
            raise self.error(missing(file))
        environment.note_dependency(str(file))
        return [nodes.raw("", file.read_text(encoding="utf-8"), format="html")]


def missing(file: Path) -> str:
    """One sentence that says which figures there are."""
    lab = f"labs/{file.parent.name}.ipynb"
    if not file.parent.is_dir():
        return f"{lab} is no lab with live figures."
    names = ", ".join(sorted(other.stem for other in file.parent.glob("*.html"))) or "none"
    return f"{lab} has no live figure {file.stem!r}; those it has: {names}."


def add_program(app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: nodes.Node | None) -> None:
    """Let a page load the figures' program and style if it holds a figure or a prediction."""
    if not any(mark in context.get("body", "") for mark in MARKS):
        return
    folders = sorted(Path(app.confdir, "extra").glob("live-*"))
    if len(folders) != 1:
        raise RuntimeError(f"expected one folder of live figures' programs below extra/, found {len(folders)}")
    # Sphinx takes the paths as ones inside _static.
    app.add_css_file(f"../{folders[0].name}/live.css")
    app.add_js_file(f"../{folders[0].name}/page.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_directive("live", Live)
    app.connect("html-page-context", add_program)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
