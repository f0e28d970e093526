"""The step that makes style sheets small keeps what pages use, and only that."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pydata_sphinx_theme
import pytest

from book.tools import slimming, web_packages
from book.tools.layout import Layout

ROOT = Path(__file__).parents[2]
THEME = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
ICONS = next(THEME.glob("vendor/fontawesome/*"))
ICON_STYLE = f"{ICONS.relative_to(THEME).as_posix()}/css/all.min.css"
STYLE = """
@import "more.css";
.used, .unused { color: red }
.never { color: green }
.from-a-script { color: blue }
.show .used { color: black }
html[data-theme="dark"] .used { color: white }
p::before { content: "p" }
@media print { .used { display: none } }
"""
PAGE = """<!doctype html><html data-theme="light"><head>
<link href="_static/style.css?v=0" rel="stylesheet"><link rel="stylesheet" href="_static/../live-1/live.css?v=0" />
<link href="_static/{icons}" rel="stylesheet"></head>
<body><p class="used">never</p><i class="fa-solid fa-rocket"></i></body></html>"""


@pytest.fixture(scope="module")
def packages() -> Path:
    """The npm packages of the repository."""
    layout = Layout(ROOT)
    web_packages.install(layout)
    return layout.npm


@pytest.fixture
def layout(tmp_path, packages) -> Layout:
    """A built page and its style sheets, as Sphinx leaves them."""
    layout = Layout(tmp_path)
    static = layout.html / "_static"
    (layout.html / "live-1").mkdir(parents=True)
    (layout.html / "live-1/live.css").write_text(".never { color: red }")
    shutil.copytree(ICONS, static / ICONS.relative_to(THEME))
    (static / "style.css").write_text(STYLE)
    (static / "more.css").write_text(".used { margin: 0 } .never { margin: 1px }")
    (static / "theme.js").write_text('element.classList.add("from-a-script", "theme", "dark")')
    (layout.html / "page.html").write_text(PAGE.format(icons=ICON_STYLE))
    layout.npm.parent.mkdir(exist_ok=True)
    layout.npm.symlink_to(packages)
    return layout


def test_only_used_rules_stay(layout):
    slimming.slim(layout)
    style = (layout.html / "_static/style.css").read_text()
    kept = (".used", ".from-a-script", ".show .used", 'html[data-theme="dark"] .used', "p::before", "@media print")
    assert [rule for rule in kept if rule not in style] == []
    assert "unused" not in style
    assert "never" not in style, "a word of the text is no use of a class"
    assert (layout.html / "_static/more.css").read_text().strip() == ".used { margin: 0 }"
    assert (layout.html / "live-1/live.css").read_text() == ".never { color: red }"


def test_icons_are_embedded(layout):
    slimming.slim(layout)
    style = (layout.html / "_static" / ICON_STYLE).read_text()
    assert "fa-rocket" in style and "fa-ghost" not in style
    assert "url(data:font/woff;base64," in style and "webfonts" not in style
    assert len(style) < 6_000


def test_pages_ask_for_the_new_content(layout):
    slimming.slim(layout)
    page = layout.html / "page.html"
    before = page.read_text()
    assert re.search(r'href="_static/style\.css\?v=[0-9a-f]{12}"', before)
    assert 'href="_static/../live-1/live.css?v=0"' in before
    page.write_text(before.replace("<i ", '<b class="never"></b><i '))
    (layout.html / "_static/style.css").write_text(STYLE)  # as Sphinx does when it writes a page
    slimming.slim(layout)
    assert ".never" in (layout.html / "_static/style.css").read_text()
    assert page.read_text().split("style.css?v=")[1][:12] != before.split("style.css?v=")[1][:12]


def test_again_changes_nothing(layout):
    slimming.slim(layout)
    files = [file for file in layout.html.rglob("*") if file.suffix in (".css", ".html")]
    once = {file: file.read_bytes() for file in files}
    slimming.slim(layout)
    assert {file: file.read_bytes() for file in files} == once
