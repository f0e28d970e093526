"""Show a term's definition where the term is linked, without another request.

Each page carries the definitions of the terms that it links to. `_static/definitions.js` shows them on hover, focus
and touch; without it the links lead to the glossary, as they always did.
"""

from __future__ import annotations

import re
from html import escape

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

# Sphinx writes a term's link in this way only: the anchor, then the words.
LINK = re.compile(r'<a class="reference internal" href="([^"]*#(term-[^"]+))"(?=><span class="xref std std-term)')


def setup(app: Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_config_value("definitions_page", "book/glossary", "html")
    app.add_js_file("definitions.js", loading_method="defer")
    app.connect("doctree-read", depend_on_glossary)
    app.connect("html-page-context", add_definitions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def depend_on_glossary(app: Sphinx, doctree: nodes.document) -> None:
    """Have a page that links to a term built again when the glossary changes."""
    if any(node.get("reftype") == "term" for node in doctree.findall(addnodes.pending_xref)):
        app.env.note_dependency(app.env.doc2path(app.config.definitions_page))


def add_definitions(
    app: Sphinx, _pagename: str, _template: str, context: dict[str, object], doctree: nodes.document | None
) -> None:
    """Give the links of a page to terms what they stand for."""
    body = context.get("body")
    if doctree is None or not isinstance(body, str) or not LINK.search(body):
        return
    meanings = glossary(app)
    used: dict[str, str] = {}

    def describe(link: re.Match[str]) -> str:
        anchor = link[2]
        if anchor not in meanings:
            return link[0]
        # A screen reader hears a definition once a page, and not at each mention of the term.
        described = "" if anchor in used else f' aria-describedby="definition-{anchor}"'
        used[anchor] = meanings[anchor]
        return f'{link[0]} data-definition="definition-{anchor}"{described}'

    body = LINK.sub(describe, body)
    texts = "".join(f'<p id="definition-{anchor}">{escape(text)}</p>' for anchor, text in sorted(used.items()))
    context["body"] = f'{body}<div class="definitions" hidden="hidden">{texts}</div>\n'


def glossary(app: Sphinx) -> dict[str, str]:
    """The anchor of every term, and its definition as plain text."""
    found: dict[str, str] = {}
    for entry in app.env.get_doctree(app.config.definitions_page).findall(nodes.definition_list_item):
        meaning = " ".join(plain(paragraph) for paragraph in entry.findall(nodes.paragraph))
        found.update({anchor: meaning for term in entry.findall(nodes.term) for anchor in term["ids"]})
    return found


def plain(paragraph: nodes.paragraph) -> str:
    """The words of a paragraph, without its references to literature."""
    copy = paragraph.deepcopy()
    for reference in list(copy.findall(addnodes.pending_xref)):
        if reference.get("refdomain") == "cite":
            reference.parent.remove(reference)
    return re.sub(r"\s+(?=[.,;:]|$)", "", " ".join(copy.astext().split()))
