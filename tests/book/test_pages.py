"""Every page of the built book works, for every reader, without a network."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.book.page_checker import Window, broken_links, pages_below

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(2700)]

WINDOWS = [("light", 1280), ("dark", 1280), ("light", 390)]


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_pages_in_a_browser(pages, browser, serve, theme, width):
    names = [file.relative_to(pages).as_posix() for file in pages_below(pages)]
    assert {"index.html", "search.html", "book/glossary.html"} <= set(names)
    with serve(pages) as address, closing(Window(browser, theme, width)) as window:
        problems = [problem for name in names for problem in window.problems(address + name)]
    assert not problems, "\n".join(problems)


def test_links_and_anchors(pages):
    problems = broken_links(pages)
    assert not problems, "\n".join(problems)
