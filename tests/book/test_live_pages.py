"""Live figures come onto the pages whole: with what a page needs at the first touch, and nothing that breaks it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from book.extensions import live as extension
from book.tools import live_pages, nearby, node, web
from book.tools.layout import BuildError, Layout
from labkit.claims import Claim, Claims
from labkit.live import live, predict

NASTY = "</script><script>alert('Müller & Söhne\u2028')</script><!--"
SMALL = {"pairs": 20}
SVG = '<svg viewBox="0 0 1 1"></svg>'


class Scripts(HTMLParser):
    """The page's elements, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, _attributes: list) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script":
            self.texts.append(data)


def control(name: str, values: list, value: object) -> dict:
    return {"name": name, "values": values, "value": value}


@pytest.fixture
def layout(tmp_path, monkeypatch) -> Layout:
    """A repository without sources, where no drawing needs Node."""
    for folder in ("labkit", "_build/executed"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "requirements.lock").write_text("as it was")
    monkeypatch.setattr(web, "sources_key", lambda _layout: "as they were")
    monkeypatch.setattr(web, "make_node_programs", lambda layout: layout.web)
    monkeypatch.setattr(node, "run", lambda *_given, **_more: json.dumps({"svg": SVG}))
    return Layout(tmp_path)


def show(layout: Layout, *figures: object) -> None:
    """Put an executed notebook that shows these figures where a build finds it."""
    cells = []
    for number, shown in enumerate(figures):
        data = json.loads(json.dumps(shown._repr_mimebundle_()))
        output = nbformat.v4.new_output("display_data", data)
        cells.append(nbformat.v4.new_code_cell("figure", id=f"c{number}", outputs=[output]))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), layout.executed / "01_first.ipynb")


def staleness(**more):
    """A figure that takes a moment."""
    return live("quorums", ["read_quorum", "sloppy"], **{"name": "staleness", **SMALL, **more})


def embedded(html: str) -> list[dict]:
    return [json.loads(text) for text in Scripts(html).texts if text.strip().startswith("{")]


def test_figure_gets_its_picture_numbers_and_data(layout):
    show(layout, staleness(title=NASTY))
    live_pages.prepare(layout)
    html = (layout.live / "01_first/staleness.html").read_text()
    output = nbformat.read(layout.live / "01_first.ipynb", as_version=4).cells[0].outputs[0]
    assert output.data["text/html"] == html
    assert set(output.data) == {"text/html", "text/plain"}
    assert '<svg aria-hidden="true"' in html and 'id="live-staleness"' in html
    (description,) = embedded(html)
    assert description["title"] == NASTY
    assert description["initial"]["measures"][0]["shown"] in html
    script = (layout.live / f"01_first/{description['nearby']}.js").read_text()
    table, runs = script.removesuffix(";\n").split(" = ", 1)
    assert table == f'(globalThis.labkitRuns ??= {{}})["{description["nearby"]}"]'
    assert 1 <= len(json.loads(runs)) <= nearby.MOST_ANSWERS


@pytest.mark.parametrize(
    ("shown", "lines", "folded"),
    [
        (staleness(), 20, True),
        (staleness(), 3, False),
        (predict("key", "How many?", ["a"]), 20, True),
        (predict("key", "How many?", ["a"]).against({"a": 1}), 20, False),
        (Claims([Claim("It holds.", "it did", "holds")]), 20, True),
        (SimpleNamespace(_repr_mimebundle_=lambda: {"text/plain": "42"}), 20, False),
    ],
    ids=["figure", "short", "question", "answer", "claims", "number"],
)
def test_long_code_that_sets_up_what_is_shown_is_folded(layout, shown, lines, folded):
    show(layout, shown)
    executed = nbformat.read(layout.executed / "01_first.ipynb", as_version=4)
    executed.cells[0].source = "\n".join(["dial = 1"] * lines)
    nbformat.write(executed, layout.executed / "01_first.ipynb")
    live_pages.prepare(layout)
    cell = nbformat.read(layout.live / "01_first.ipynb", as_version=4).cells[0]
    assert ("hide-input" in cell.metadata.get("tags", [])) == folded


def test_nothing_in_the_data_ends_the_script(layout):
    show(layout, predict("key", NASTY, [NASTY]), staleness(title=NASTY))
    live_pages.prepare(layout)
    notebook = nbformat.read(layout.live / "01_first.ipynb", as_version=4)
    html = "".join(cell.outputs[0].data["text/html"] for cell in notebook.cells)
    assert Scripts(html).tags.count("script") == 2
    assert [found.get("question", found.get("title")) for found in embedded(html)] == [NASTY, NASTY]
    inside = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    assert len(inside) == 2 and not any(sign in text for text in inside for sign in "<>&\u2028")


def test_carried_runs_are_computed_once(layout, monkeypatch):
    show(layout, staleness())
    live_pages.prepare(layout)
    before = {file: file.stat().st_mtime_ns for file in layout.live.rglob("*") if file.is_file()}
    monkeypatch.setattr(nearby, "answers", lambda _requests: pytest.fail("computed again"))
    monkeypatch.setattr(node, "run", lambda *_given, **_more: pytest.fail("drawn again"))
    live_pages.prepare(layout)
    assert {file: file.stat().st_mtime_ns for file in layout.live.rglob("*") if file.is_file()} == before
    (layout.root / "labkit/node.py").write_text("changed = True\n")
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        live_pages.prepare(layout)


def test_what_no_notebook_shows_any_more_is_forgotten(layout):
    show(layout, staleness(), staleness(name="other"))
    live_pages.prepare(layout)
    show(layout, staleness(name="other"))
    live_pages.prepare(layout)
    assert sorted(file.suffix for file in (layout.live / "01_first").iterdir()) == [".html", ".js"]
    assert (layout.live / "01_first/other.html").is_file()
    (layout.executed / "01_first.ipynb").unlink()
    live_pages.prepare(layout)
    assert [file.name for file in layout.live.rglob("*")] == [live_pages.CACHE]


def test_two_figures_of_one_name_are_refused(layout):
    show(layout, staleness(), staleness(seed=8))
    with pytest.raises(BuildError, match=r"labs/01_first\.ipynb shows two live figures called 'staleness'"):
        live_pages.prepare(layout)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda first: first["measures"][0].update(shown="99 ms"), "its run came out differently"),
        (lambda first: first["request"].update(experiment="mine"), "a page could not run it: .*'mine'"),
    ],
    ids=["different", "unknown"],
)
def test_figure_that_a_page_cannot_run_is_refused(layout, change, sentence):
    figure = staleness()
    bundle = figure._repr_mimebundle_()
    change(bundle[live_pages.LIVE]["initial"])
    show(layout, SimpleNamespace(_repr_mimebundle_=lambda: bundle))
    with pytest.raises(BuildError, match=f"labs/01_first.ipynb, live figure 'staleness': {sentence}"):
        live_pages.prepare(layout)


@pytest.mark.parametrize("controls", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("values", [1, 2, 5, 100])
def test_nearby_stays_within_bounds(controls, values):
    given = [control(f"c{number}", list(range(values)), values // 2) for number in range(controls)]
    found = nearby.candidates({"controls": given})
    assert len(found) <= nearby.MOST_ANSWERS
    texts = [json.dumps(parameters, sort_keys=True) for parameters in found]
    assert len(set(texts)) == len(texts) and "{}" not in texts
    assert all(parameters[name] != values // 2 for parameters in found for name in parameters)
    if controls and values > 1:
        assert {name for parameters in found for name in parameters} == {entry["name"] for entry in given}
        ends = {0, values - 1} - {values // 2}
        assert ends <= {parameters["c0"] for parameters in found if set(parameters) == {"c0"}}


def test_small_answers_leave_out_what_the_first_one_says():
    first = {
        "request": {"seed": 7},
        "picture": {"kind": "vega-lite", "spec": {"mark": "line"}, "data": [1]},
        "events": 5,
    }
    other = {"request": {"seed": 7}, "picture": {**first["picture"], "data": [2]}, "events": 6}
    assert nearby.small(other, first) == {"picture": {"data": [2]}, "events": 6}
    assert nearby.small({"request": {}, "error": "no"}, first) == {"error": "no"}


def test_directive_names_the_figures_that_there_are(tmp_path):
    (tmp_path / "01_first").mkdir()
    (tmp_path / "01_first/staleness.html").write_text("figure")
    assert extension.missing(tmp_path / "01_first/gone.html") == (
        "labs/01_first.ipynb has no live figure 'gone'; those it has: staleness."
    )
    assert extension.missing(tmp_path / "02_none/gone.html") == "labs/02_none.ipynb is no lab with live figures."


def build_page(tmp_path: Path, text: str) -> tuple[str, str]:
    """What Sphinx makes of one page, and what it complains of."""
    from io import StringIO

    from sphinx.application import Sphinx

    source = tmp_path / "source"
    for folder in ("live/01_first", "extra/live-0123456789ab"):
        (source / folder).mkdir(parents=True)
    (source / "live/01_first/staleness.html").write_text('<figure data-labkit-live="staleness"></figure>')
    (source / "index.md").write_text(f"# Page\n\n{text}\n")
    (source / "other.md").write_text("---\norphan: true\n---\n# Other\n\nText\n")
    warnings = StringIO()
    settings = {"extensions": ["myst_parser", "book.extensions.live"], "html_extra_path": ["extra"]}
    folders = [source, None, tmp_path / "html", tmp_path / "trees"]
    app = Sphinx(*folders, "html", confoverrides=settings, status=None, warning=warnings)
    app.build()
    return (tmp_path / "html/index.html").read_text(), warnings.getvalue()


def test_only_pages_with_figures_load_the_program(tmp_path):
    html, complaints = build_page(tmp_path, "```{live} 01_first staleness\n```")
    assert not complaints
    assert '<figure data-labkit-live="staleness"></figure>' in html
    assert re.search(r'<script defer="defer" src="[^"]*live-0123456789ab/page\.js', html)
    assert re.search(r'<link[^>]*href="[^"]*live-0123456789ab/live\.css', html)
    assert "live-0123456789ab" not in (tmp_path / "html/other.html").read_text()


def test_directive_without_its_figure_is_one_clear_complaint(tmp_path):
    html, complaints = build_page(tmp_path, "```{live} 01_first gone\n```")
    assert complaints.count("ERROR") == 1
    assert "index.md:3" in complaints
    assert "labs/01_first.ipynb has no live figure 'gone'; those it has: staleness." in complaints
    assert "page.js" not in html
