"""The code of a protocol as a reader should meet it: one method, highlighted, with notes beside its lines."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from labkit.errors import BadInput

STYLE = """<style>
.annotated {overflow-x: auto; margin: 0.5em 0}
.annotated table {border-collapse: collapse; width: auto; margin: 0; font-size: 0.85rem}
.annotated tr, .annotated tr:hover {background: none}
.annotated td {border: 0; padding: 0 1.5em 0 0; text-align: left; vertical-align: baseline; line-height: 1.5}
.annotated td code {background: none; border: 0; padding: 0; white-space: pre; color: inherit; font-size: inherit}
.annotated td + td {opacity: 0.85; font-family: system-ui, sans-serif; min-width: 16em; max-width: 26em}
.jp-RenderedHTML .annotated :is(.k, .kc, .ow) {color: var(--jp-mirror-editor-keyword-color); font-weight: bold}
.jp-RenderedHTML .annotated :is(.s1, .s2, .sd) {color: var(--jp-mirror-editor-string-color)}
.jp-RenderedHTML .annotated .c1 {color: var(--jp-mirror-editor-comment-color)}
.jp-RenderedHTML .annotated .nf {color: var(--jp-mirror-editor-def-color)}
@media (max-width: 40rem) {.annotated td {display: block; padding: 0} .annotated td + td {padding-left: 2em}}
</style>"""
"""A page of the book colours the words itself, by the class `highlight`; JupyterLab has variables for its theme."""


@dataclass(frozen=True, repr=False)
class Annotated:
    """Lines of code, each with a note or none; HTML in a notebook, comments behind the lines elsewhere."""

    lines: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        width = max(len(line) for line, note in self.lines if note) if any(note for _, note in self.lines) else 0
        return "\n".join(f"{line:{width}}  # {note}" if note else line for line, note in self.lines)

    __repr__ = __str__  # what a notebook without HTML shows

    def _repr_html_(self) -> str:
        from pygments import highlight  # comes with IPython, where there is somebody to show HTML to
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        code = "\n".join(line for line, _ in self.lines)
        coloured = highlight(code, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")
        rows = "".join(
            f"<tr><td><code>{line}</code></td><td>{f'← {escape(note)}' if note else ''}</td></tr>"
            for line, (_, note) in zip(coloured, self.lines, strict=True)
        )
        return f"{STYLE}<div class='annotated highlight'><table>{rows}</table></div>"


def annotated(function: Callable[..., Any], notes: Mapping[str, str]) -> Annotated:
    """The function's code without its docstring; each note stands beside the one line that contains its key.

    Raises `BadInput` for a key that no line contains, or several do: the code has moved on, and so must the note.
    """
    lines = _source(function)
    places: dict[int, str] = {}
    for fragment, note in notes.items():
        having = [place for place, line in enumerate(lines) if fragment in line]
        if len(having) != 1:
            name = function.__qualname__
            raise BadInput(f"notes has {fragment!r}: {len(having)} lines of {name} contain it, not one")
        if having[0] in places:
            raise BadInput(f"notes has {fragment!r}: the line that contains it has a note already")
        places[having[0]] = note
    return Annotated(tuple((line, places.get(place, "")) for place, line in enumerate(lines)))


def _source(function: Callable[..., Any]) -> list[str]:
    text = textwrap.dedent(inspect.getsource(function))
    lines = text.rstrip().split("\n")
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    if ast.get_docstring(definition) is None:
        return lines
    docstring = definition.body[0]
    return lines[: docstring.lineno - 1] + lines[docstring.end_lineno :]
