"""Formulas, definitions and pictures as the extensions write them, in a small book of two pages."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import pytest
from docutils.core import publish_doctree
from pybtex.database import parse_string
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from book.extensions.citations import label
from book.extensions.presentation import DESCRIPTION_LENGTH, description, png_size
from book.tools import web_packages
from book.tools.fresh import alone
from book.tools.layout import Layout

ROOT = Path(__file__).parents[2]
CONFIGURATION = """
extensions = [
    "myst_parser",
    "book.extensions.typesetting",
    "book.extensions.definitions",
    "book.extensions.presentation",
]
root_doc = "page"
html_math_renderer = "typeset"
definitions_page = "glossary"
"""
PAGE = """
Page
====

The clocks :term:`drift` apart. One more word on :term:`drift`, and :math:`x^2`.

.. math:: \\sum_{i=1}^{n} i

.. image:: dot.png
   :alt: A dot

.. toctree::

   glossary
"""
GLOSSARY = """
Glossary
========

.. glossary::

   drift
      How fast an :term:`offset` grows.

   offset
      The difference <now> & here.
"""
DOT = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAC0lEQVR4nGNggAAAAAgAAbdYc5UAAAAASUVORK5CYII=")


@pytest.fixture(scope="module")
def mathjax() -> str:
    """MathJax among the npm packages of the repository."""
    layout = Layout(ROOT)
    with alone(layout):  # other tests install the same at the same time
        web_packages.install(layout)
    return str(layout.npm / "node_modules/mathjax/es5/node-main.js")


@pytest.fixture
def build(tmp_path, mathjax):
    """Write the book's sources and build it; give the page's HTML and the warnings."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text(CONFIGURATION)
    (source / "dot.png").write_bytes(DOT)

    def built(page: str = PAGE, glossary: str = GLOSSARY) -> tuple[str, str]:
        for name, text in (("page.rst", page), ("glossary.rst", glossary)):
            file = source / name
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
                os.utime(file, ns=(file.stat().st_mtime_ns + 2_000_000_000,) * 2)
        warnings = io.StringIO()
        with docutils_namespace(), patch_docutils(source):
            folders = (source, source, tmp_path / "html", tmp_path / "doctrees")
            settings = {"typesetting_mathjax": mathjax}
            Sphinx(*map(str, folders), "html", settings, status=None, warning=warnings).build()
        # Sphinx set up a second time in one process says that it knows itself already.
        told = [line for line in warnings.getvalue().splitlines(True) if "while setting up extension" not in line]
        return (tmp_path / "html/page.html").read_text(), "".join(told)

    return built


def test_formulas_are_drawn_and_can_be_read_out(build):
    html, warnings = build()
    assert not warnings
    assert html.count("<svg") == 2 and html.count("<math") == 2
    assert 'display="true"' in html and "<msup>" in html
    assert "\\sum" not in html


def test_formula_that_tex_does_not_know_is_a_warning(build):
    _, warnings = build(PAGE.replace("x^2", "\\nonsense{x"))
    assert "page.rst:5: WARNING: \\nonsense{x: " in warnings


def test_definition_travels_with_the_page(build):
    html, _ = build()
    assert html.count('data-definition="definition-term-drift"') == 2
    assert html.count('aria-describedby="definition-term-drift"') == 1, "read out once"
    assert '<p id="definition-term-drift">How fast an offset grows.</p>' in html
    assert "term-offset" not in html, "only what the page links to"


def test_page_follows_its_definitions(build):
    build()
    html, _ = build(glossary=GLOSSARY.replace("How fast", "The rate at which"))
    assert "The rate at which an offset grows." in html
    html, _ = build(page=PAGE.replace("`drift` apart", "`offset` apart"))
    assert "The difference &lt;now&gt; &amp; here." in html


def test_a_notebook_links_to_a_term_by_its_place_in_the_glossary(build, tmp_path):
    (tmp_path / "source/labs").mkdir()
    lab = tmp_path / "source/labs/lab.md"
    lab.write_text("---\norphan: true\n---\n# Lab\n\nClocks [drift](../glossary.rst#term-drift) apart.")
    _, warnings = build()
    assert not warnings
    html = (tmp_path / "html/labs/lab.html").read_text()
    assert 'href="../glossary.html#term-drift" data-definition="definition-term-drift"' in html
    assert "How fast an offset grows." in html
    lab.write_text(lab.read_text().replace("term-drift", "term-draft"))
    os.utime(lab, ns=(lab.stat().st_mtime_ns + 2_000_000_000,) * 2)
    _, warnings = build()
    assert "the glossary has no 'term-draft'" in warnings


def test_code_has_no_marks_that_change_no_colour(build):
    html, _ = build(PAGE + "\n.. code-block:: python\n\n   for each in names: print(each)\n")
    code = html[html.index('<div class="highlight-python') :]
    assert '<span class="k">for</span> each <span class="ow">in</span> names:' in code


def test_pictures_come_late_and_keep_their_place(build):
    html, _ = build()
    assert 'loading="lazy" decoding="async" width="3" height="2" ' in html
    assert png_size(DOT) == (3, 2)


def test_first_paragraph_describes_the_page():
    assert description(publish_doctree("Title\n=====\n\nOne\nline.\n\nTwo.")) == "One line."
    long = description(publish_doctree("word " * 100))
    assert len(long) <= DESCRIPTION_LENGTH + 1 and long.endswith("word…")


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("Little, John D. C.", "Little, 1961"),
        ("Dean, Jeffrey and Barroso, Luiz Andr\\'e", "Dean and Barroso, 1961"),
        ("Pregui{\\c{c}}a, Nuno and Baquero, Carlos and Fonte, Victor", "Preguiça et al., 1961"),
        ("Parker, D. Stott and others", "Parker et al., 1961"),
    ],
)
def test_the_bibliography_names_entries_as_the_text_does(author, expected):
    entries = parse_string(f"@article{{key, author = {{{author}}}, year = {{1961}}}}", "bibtex").entries
    assert label(entries["key"]) == expected
