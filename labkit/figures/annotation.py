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
.annotated {margin: 0.5em 0 1.2em; overflow-x: auto}
.annotated code {background: none; border: 0; color: inherit; display: block; font-size: 0.85rem; line-height: 1.5;
  overflow-wrap: anywhere; padding: 0 0 0 2em; text-indent: -2em; white-space: pre-wrap}
.annotated p {font-size: 0.85rem; line-height: 1.3; margin: 0 0 0.5em; opacity: 0.85; padding-left: 2em}
.jp-RenderedHTML .annotated :is(.k, .kc, .ow) {color: var(--jp-mirror-editor-keyword-color); font-weight: bold}
.jp-RenderedHTML .annotated :is(.s1, .s2, .sd) {color: var(--jp-mirror-editor-string-color)}
.jp-RenderedHTML .annotated .c1 {color: var(--jp-mirror-editor-comment-color)}
.jp-RenderedHTML .annotated .nf {color: var(--jp-mirror-editor-def-color)}
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
        # A note stands below its line: beside it, it would be cut off on a phone and in a narrow column.
        rows = "".join(
            f"<code>{line or ' '}</code>{_below(code, note)}"
            for line, (code, note) in zip(coloured, self.lines, strict=True)
        )
        return f"{STYLE}<div class='annotated highlight'>{rows}</div>"


def _below(code: str, note: str) -> str:
    indent = len(code) - len(code.lstrip())
    return f"<p style='margin-left:{indent}ch'>↑ {escape(note)}</p>" if note else ""


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
