"""The HTML of live figures and predictions on a page: whole without a script, and live with one.

The numbers are laid out as the front end lays them out again at the first touch, so that nothing jumps then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

ICONS = Path(__file__).resolve().parents[2] / "labkit/live/web/icons.js"
SHAPE = re.compile(r"^  (\w+): '(.*)',$", re.MULTILINE)
"""A line of the table of shapes."""


def mount(description: Mapping[str, Any], svg: str) -> str:
    """A live figure with its opening run: `svg` is its picture."""
    initial = description["initial"]
    name, title, text = (
        escape(said) for said in (description["name"], description["title"], initial["picture"]["text"])
    )
    return (
        f'<figure class="labkit-live" data-labkit-live="{name}" id="live-{name}" aria-label="{title}">\n'
        f'<p class="labkit-title">{title}</p>\n'
        '<div class="labkit-controls" hidden></div>\n'
        f'<div class="labkit-picture" role="img" aria-label="{text}">{hidden(svg)}</div>\n'
        f'<div class="labkit-numbers">{numbers(initial)}</div>\n'
        f"{embedded(description)}\n"
        "</figure>\n"
    )


def prediction(description: Mapping[str, Any], html: str) -> str:
    """A prediction's own HTML, with the data that make it live."""
    end = html.rfind("</")
    return f"{html[:end]}\n{embedded(description)}\n{html[end:]}\n"


def numbers(answer: Mapping[str, Any]) -> str:
    """What a run comes to, as text: measures, verdicts, caption, and the picture as a table."""
    head = "".join(f'<th scope="col">{title}</th>' for title in ("measure", "value", "meaning"))
    rows = "".join(
        f'<tr><th scope="row">{escape(measure["label"])}</th><td class="labkit-number">{escape(measure["shown"])}</td>'
        f'<td class="labkit-meaning">{escape(measure["help"])}</td></tr>'
        for measure in answer["measures"]
    )
    measures = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    verdicts = "".join(map(verdict, answer["verdicts"]))
    return (
        f'<div class="labkit-measures">{measures}</div><div class="labkit-verdicts">{verdicts}</div>'
        f'<p class="labkit-caption">{escape(answer["caption"])}</p>'
        "<details><summary>The figure as a table</summary>"
        '<div class="labkit-wide-table" tabindex="0" role="group" aria-label="The figure as a table">'
        f"{table(**answer['picture']['table'])}</div></details>"
    )


def verdict(found: Mapping[str, Any]) -> str:
    """What a checker says, with its counterexample drawn."""
    status = escape(found["status"])
    said = f": {escape(found['explanation'])}" if found["explanation"] else ""
    badge = f'<span class="labkit-badge">{icon(found["status"])} {escape(found["word"])}</span>'
    line = f"<p>{badge} <b>{escape(found['property'])}</b>{said}</p>"
    named = 'tabindex="0" role="group" aria-label="Counterexample"'
    story = f'<div class="labkit-story" {named}>{found["drawing"]}</div>' if found["drawing"] else ""
    return f'<div class="labkit-verdict" data-status="{status}">{line}{story}</div>'


def icon(status: str) -> str:
    """A verdict's shape, as the front end draws it again."""
    shapes = dict(SHAPE.findall(ICONS.read_text(encoding="utf-8")))
    shape = shapes.get(status, shapes["UNKNOWN"])
    return f'<svg class="labkit-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">{shape}</svg>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names its rows."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
        for first, *others in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def hidden(svg: str) -> str:
    """The drawings, which the text beside them stands for."""
    return re.sub(r"<svg(?![^>]*aria-hidden)", '<svg aria-hidden="true"', svg)


def embedded(description: Mapping[str, Any]) -> str:
    """Data inside a page; nothing in them can end the element or begin another."""
    text = json.dumps(description, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" class="labkit-description">{text}</script>'
