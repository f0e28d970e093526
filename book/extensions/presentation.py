"""What a page's reader needs and neither Sphinx nor the theme does.

A description for search engines, pictures that are fetched when they are about to be seen, and roles and names that
screen readers understand.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from docutils import nodes
from sphinx.application import Sphinx

IMAGE = re.compile(r'<img (?=[^>]*src="[^"]*_images/([^"]+\.png)")(?![^>]*\bloading=)')
DESCRIPTION_LENGTH = 200
PLAIN = re.compile(r'<span class="(?:n|p|w)">([^<]*)</span>')
"""Names, punctuation and blanks of highlighted code. They have the colour of the text, and are a sixth of a lab."""
# What is said twice, or in terms that ARIA does not allow here; and what scrolls where a window is narrow, which the
# keyboard must reach.
CORRECTIONS = {
    '<div class="pst-scrollable-table-container">': '<div class="pst-scrollable-table-container" tabindex="0">',
    ' jax="SVG" display="true"': ' jax="SVG" display="true" tabindex="0"',
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    ' role="doc-biblioentry"': "",
}


def setup(app: Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    app.connect("html-page-context", improve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def improve(
    app: Sphinx, _pagename: str, _template: str, context: dict[str, object], doctree: nodes.document | None
) -> None:
    """Correct the body of a page and describe it."""
    body = context.get("body")
    if doctree is None or not isinstance(body, str):
        return
    body = PLAIN.sub(r"\1", body)
    for wrong, right in CORRECTIONS.items():
        body = body.replace(wrong, right)
    files = {name: Path(app.srcdir, source) for source, name in app.builder.images.items()}
    context["body"] = IMAGE.sub(lambda image: image[0] + attributes(files.get(unquote(image[1]))), body)
    context["description"] = description(doctree)


def attributes(file: Path | None) -> str:
    """Fetch a picture late, and keep its place free until then: the text must not jump."""
    if file is None:
        return ""
    width, height = png_size(file.read_bytes())
    return f'loading="lazy" decoding="async" width="{width}" height="{height}" '


def png_size(picture: bytes) -> tuple[int, int]:
    """Width and height in pixels, which a PNG names in its first chunk."""
    return int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])


def description(doctree: nodes.document) -> str:
    """The first paragraph, as far as it goes into a line of search results."""
    first = next((node.astext() for node in doctree.findall(nodes.paragraph)), "")
    text = " ".join(first.split())
    if len(text) <= DESCRIPTION_LENGTH:
        return text
    return text[:DESCRIPTION_LENGTH].rsplit(" ", 1)[0].rstrip(",;:") + "…"
