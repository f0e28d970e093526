"""Show a term's definition where the term is linked, without another request.

Each page carries the definitions of the terms that it links to. `_static/definitions.js` shows them on hover, focus
and touch; without it the links lead to the glossary, as they always did.

Chapters write ``{term}`drift` ``. Notebooks hold CommonMark alone, so they link to the term's place in the glossary's
file, ``[drift](../book/glossary.md#term-drift)``, which other viewers of notebooks understand, too.
"""

from __future__ import annotations

import re
from html import escape

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

logger = logging.getLogger(__name__)

# Sphinx writes a term's link in this way only: the anchor, then the words.
LINK = re.compile(r'<a class="reference internal" href="([^"]*#(term-[^"]+))"(?=><span class="xref std std-term)')


def setup(app: Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_config_value("definitions_page", "book/glossary", "html")
    app.add_js_file("definitions.js", loading_method="defer")
    app.add_post_transform(TermLinks)
    app.connect("doctree-read", depend_on_glossary)
    app.connect("html-page-context", add_definitions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def depend_on_glossary(app: Sphinx, doctree: nodes.document) -> None:
    """Have a page that links to a term built again when the glossary changes."""
    page = app.config.definitions_page
    links = doctree.findall(addnodes.pending_xref)
    if any(node.get("reftype") == "term" or links_to_term(node, page) for node in links):
        app.env.note_dependency(app.env.doc2path(page))


def links_to_term(node: addnodes.pending_xref, page: str) -> bool:
    """Whether it is a link to a term's place in the glossary's file."""
    return node.get("reftarget") == page and str(node.get("reftargetid")).startswith("term-")


class TermLinks(SphinxPostTransform):
    """Make links to terms, written as links to the glossary's file, what ``{term}`` makes."""

    default_priority = 8  # MyST's own resolver has 9; it knows the headings of a page, and no terms

    def run(self, **_: object) -> None:
        page = self.config.definitions_page
        terms = {place[1] for (kind, _), place in self.env.get_domain("std").objects.items() if kind == "term"}
        for node in list(self.document.findall(addnodes.pending_xref)):
            if not links_to_term(node, page):
                continue
            anchor = node["reftargetid"]
            words = nodes.inline("", "", *node.children, classes=["xref", "std", "std-term"])
            if anchor not in terms:
                logger.warning("the glossary has no %r", anchor, location=node, type="definitions")
                node.replace_self(words)
                continue
            node.replace_self(make_refnode(self.app.builder, self.env.docname, page, anchor, words))


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
