"""Take out of the built pages what no page uses: style rules and icons.

The theme's style sheets serve every page that could be written with it, and its icon fonts hold thousands of
icons. Sphinx copies the originals back whenever they differ from what is there, so this step runs after every run of
Sphinx and always starts from them.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

from book.tools.layout import Layout
from book.tools.node import run

PROGRAM = Path(__file__).with_name("slimming.mjs")
TIMEOUT = 120
# Classes and attributes that the theme's scripts build from parts, or set where no page has them from the start.
SET_BY_SCRIPTS = [
    "show",
    "active",
    "collapsed",
    "collapsing",
    "fade",
    "disabled",
    "scrolled",
    "hide",
    "highlighted",
    "dropdown-menu-dark",
    "tooltip",
    "tooltip-inner",
    "tooltip-arrow",
    "bs-tooltip-auto",
    "data-popper-placement",
]
# Elements that a live figure may bring.
SET_BY_SCRIPTS += [
    "button",
    "details",
    "fieldset",
    "figcaption",
    "figure",
    "input",
    "label",
    "legend",
    "optgroup",
    "option",
    "output",
    "progress",
    "select",
    "summary",
    "svg",
    "caption",
    "table",
    "tbody",
    "td",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "tr",
]
# Sphinx also writes `_static/../live-…/live.css`, which is not the theme's and is complete as it is.
STYLE_LINK = re.compile(r'(<link [^>]*href="[^"]*_static/((?!\.\.)[^"?]+\.css))(?:\?[^"]*)?"')
FONT_FACE = re.compile(r"@font-face\s*\{[^}]*\}")
FONT_FILE = re.compile(r"url\(\.\./webfonts/([\w-]+)\.woff2\)")
FONT_FAMILY = re.compile(r"font-family:[^;}]*")
ICON = re.compile(r'content:\s*"\\([0-9a-f]+)"')


def slim(layout: Layout) -> None:
    """Make the style sheets of the built pages small, and have every page ask for exactly these."""
    static = layout.html / "_static"
    pages = sorted(page for page in layout.html.rglob("*.html") if static not in page.parents)
    texts = {page: page.read_text() for page in pages}
    linked = {static / link[2] for text in texts.values() for link in STYLE_LINK.finditer(text)}
    styles = sorted(linked | imported(linked))
    scripts = [script for script in sorted(static.rglob("*.js")) if "vendor" not in script.parts]
    for style, text in zip(styles, purge(layout, styles, pages, scripts), strict=True):
        style.write_text(with_few_icons(style, text))
    versions = {style.relative_to(static).as_posix(): version(style) for style in styles}
    for page, text in texts.items():
        # A browser that kept a style sheet may have one without the rules of a page written since.
        renewed = STYLE_LINK.sub(lambda link: f'{link[1]}?v={versions[link[2]]}"', text)
        if renewed != text:
            page.write_text(renewed)


def imported(styles: set[Path]) -> set[Path]:
    """The style sheets that others name in an @import."""
    names = re.compile(r'@import\s+(?:url\()?["\']?([^"\');]+\.css)')
    return {(style.parent / name[1]).resolve() for style in styles for name in names.finditer(style.read_text())}


def purge(layout: Layout, styles: list[Path], pages: list[Path], scripts: list[Path]) -> list[str]:
    """Each style sheet without the rules whose classes, elements and attributes are in no page and no script."""
    task = {
        "purgecss": str(layout.npm / "package.json"),
        "styles": [str(style) for style in styles],
        "pages": [str(page) for page in pages],
        "scripts": [str(script) for script in scripts],
        "names": SET_BY_SCRIPTS,
    }
    return json.loads(run("PurgeCSS", PROGRAM, text=json.dumps(task), timeout=TIMEOUT))


def with_few_icons(style: Path, text: str) -> str:
    """A style sheet whose icon fonts hold only the icons that it still names, inside the sheet itself."""
    icons = sorted({int(code, 16) for code in ICON.findall(text)})
    rules = unquoted(FONT_FACE.sub("", text))

    def embed(face: re.Match[str]) -> str:
        file = FONT_FILE.search(face[0])
        if file is None:
            return face[0]
        family = FONT_FAMILY.search(unquoted(face[0]))
        font = font_with(style.parent.parent / "webfonts" / f"{file[1]}.ttf", icons)
        if font is None or family is None or family[0] not in rules:
            return ""
        data = base64.b64encode(font).decode()
        return re.sub(r"src:[^;}]*", f"src:url(data:font/woff;base64,{data}) format('woff')", face[0])

    return FONT_FACE.sub(embed, text)


def unquoted(rules: str) -> str:
    """Rules in which a font's name is written in one way only: as itself."""
    return re.sub(r"[\\\"']", "", rules)


def font_with(file: Path, icons: list[int]) -> bytes | None:
    """A font with these of its characters, or None if it has none of them."""
    font = TTFont(file, recalcTimestamp=False)
    found = [icon for icon in icons if icon in font.getBestCmap()]
    if not found:
        return None
    options = subset.Options()
    options.flavor = "woff"
    options.drop_tables += ["FFTM"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=found)
    subsetter.subset(font)
    written = io.BytesIO()
    subset.save_font(font, written, options)
    return written.getvalue()


def version(file: Path) -> str:
    """A short name of a file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
