"""HTML that needs no script: what a figure says wherever nobody runs its module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


def element(tag: str, inner: str, **attributes: str) -> str:
    """One element; `inner` is HTML, the attributes are texts, with underscores for their hyphens."""
    given = "".join(f' {name.strip("_").replace("_", "-")}="{escape(text)}"' for name, text in attributes.items())
    return f"<{tag}{given}>{inner}</{tag}>"


def paragraph(text: str) -> str:
    """A text as a paragraph."""
    return element("p", escape(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names its rows."""
    titles = "".join(element("th", escape(title), scope="col") for title in head)
    body = "".join(element("tr", _row(row)) for row in rows)
    return element("table", f"<thead>{element('tr', titles)}</thead><tbody>{body}</tbody>")


def answered(answer: Mapping[str, Any]) -> str:
    """The numbers of an answer: caption, text, measures, verdicts, and the picture as a table."""
    picture = answer["picture"]
    measures = table(
        ["measure", "value", "meaning"],
        [(measure["label"], measure["shown"], measure["help"]) for measure in answer["measures"]],
    )
    figures = element(
        "details",
        element("summary", "The figure as a table") + table(picture["table"]["head"], picture["table"]["rows"]),
    )
    verdicts = "".join(_verdict(verdict) for verdict in answer["verdicts"])
    return paragraph(picture["text"]) + measures + verdicts + figures + paragraph(answer["caption"])


def _row(cells: Sequence[str]) -> str:
    first = element("th", escape(cells[0]), scope="row")
    return first + "".join(element("td", escape(cell)) for cell in cells[1:])


def _verdict(verdict: Mapping[str, Any]) -> str:
    said = element("b", escape(f"{verdict['property']}: {verdict['word']}"))
    text = element("p", f"{said} {escape(verdict['explanation'])}")
    return text + (element("div", verdict["drawing"], class_="labkit-story") if verdict["drawing"] else "")
