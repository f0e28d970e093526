"""The page checker finds what it is there to find: each fault is planted on a small page of its own."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.book.page_checker import Window, broken_links

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
HEAD = '<head><title>t</title><link rel="icon" href="data:,"></head>'
PAGE = f'<!doctype html><html lang="en">{HEAD}<body>{{}}</body></html>'

CLEAN = f'<p id="here">Text</p><img src="{PIXEL}" alt="One dot"><a href="#here">a</a><a href="other.html#there">b</a>'
IN_BROWSER = {
    "request elsewhere": (
        '<img src="http://book.invalid/x.png" alt="A plot">',
        "requests http://book.invalid/x.png",
    ),
    "script elsewhere": (
        "<script>fetch('https://book.invalid/y')</script>",
        "requests https://book.invalid/y",
    ),
    "missing alt": (f'<img src="{PIXEL}">', "image without alt text"),
    "empty alt": (f'<img src="{PIXEL}" alt="">', "image without alt text"),
    "file name as alt": (f'<img src="{PIXEL}" alt="../_images/3fa.png">', "image without alt text"),
    "unnamed drawing": ('<svg width="9" height="9"><circle r="4"/></svg>', "image without alt text"),
    "missing file": ('<img src="nowhere.png" alt="A plot">', "nowhere.png answers 404"),
    "console error": ("<script>console.error('oh')</script>", "console: oh"),
    "script error": ("<script>null.f()</script>", "script error"),
    "too wide": ('<div style="width: 500px">wide</div>', "scrolls sideways at 390 pixels"),
    "wrong theme": ("<script>document.documentElement.dataset.theme='dark'</script>", "shows the dark theme"),
}
LINKS = {
    "missing page": ('<a href="gone.html">a</a>', "gone.html, which does not exist"),
    "missing anchor here": ('<a href="#gone">a</a>', "#gone, which has no such place"),
    "missing anchor there": ('<a href="other.html#gone">a</a>', "other.html#gone, which has no such place"),
    "missing script": ('<script src="gone.js"></script>', "gone.js, which does not exist"),
}


@pytest.fixture
def plant(tmp_path):
    """Write the page under test and one that it may link to."""

    def write(body: str):
        (tmp_path / "page.html").write_text(PAGE.format(body))
        (tmp_path / "other.html").write_text(PAGE.format('<h2 id="there">There</h2>'))
        return tmp_path

    return write


@pytest.fixture(scope="module")
def window(browser):
    """A phone's window."""
    with closing(Window(browser, "light", 390)) as window:
        yield window


@pytest.mark.browser
def test_clean_page_in_browser(plant, window, serve):
    with serve(plant(CLEAN)) as address:
        assert window.problems(address + "page.html") == []


@pytest.mark.browser
@pytest.mark.parametrize(("body", "problem"), IN_BROWSER.values(), ids=IN_BROWSER.keys())
def test_planted_fault_in_browser(plant, window, serve, body, problem):
    with serve(plant(body)) as address:
        found = window.problems(address + "page.html")
    assert any(problem in line for line in found), found


def test_clean_links(plant):
    assert broken_links(plant(CLEAN)) == []


@pytest.mark.parametrize(("body", "problem"), LINKS.values(), ids=LINKS.keys())
def test_planted_broken_link(plant, body, problem):
    found = broken_links(plant(body))
    assert len(found) == 1 and problem in found[0], found
