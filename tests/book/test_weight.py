"""A page is light, and can be read before any script has run."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.book.page_checker import PAGE_TIMEOUT_MS, pages_below

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(2700)]

LARGEST_BYTES = 450_000
"""All that a page asks for before anybody touches it, as the book's own server sends it."""

LARGEST_PAGE_BYTES = 400_000
"""The HTML alone, as it lies on the disk: not every host compresses, and the rest of a page is some 350 kB."""
SETTLED_MS = 300  # a picture that scrolls into view is asked for a moment after the page has loaded


def addresses(pages) -> list[str]:
    return [file.relative_to(pages).as_posix() for file in pages_below(pages)]


def received(browser, address: str) -> dict[str, int]:
    """The bytes of every body that a browser with an empty cache receives before anybody touches the page."""
    with closing(browser.new_context(viewport={"width": 1280, "height": 900})) as context:
        page = context.new_page()
        finished = []
        page.on("requestfinished", lambda request: finished.append(request))
        page.goto(address, wait_until="load", timeout=PAGE_TIMEOUT_MS)
        page.wait_for_load_state("networkidle", timeout=PAGE_TIMEOUT_MS)
        page.wait_for_timeout(SETTLED_MS)
        return {request.url: request.sizes()["responseBodySize"] for request in finished}


def test_every_page_is_light(pages, browser, serve):
    heavy = []
    with serve(pages) as server:
        for name in addresses(pages):
            bodies = received(browser, server + name)
            total = sum(bodies.values())
            assert total > 10_000, f"{name}: {total} bytes cannot be a page of the book"
            if total >= LARGEST_BYTES:
                largest = sorted(bodies.items(), key=lambda item: -item[1])[:5]
                heavy.append(f"{name}: {total} bytes, of which {largest}")
    assert not heavy, "\n".join(heavy)


def test_no_page_carries_what_it_needs_only_when_touched(pages):
    sizes = {file.name: file.stat().st_size for file in pages_below(pages)}
    assert max(sizes.values()) < LARGEST_PAGE_BYTES, sizes


def test_pages_are_read_without_scripts(pages, browser, serve):
    unreadable = []
    options = {"java_script_enabled": False, "viewport": {"width": 390, "height": 844}}
    with serve(pages) as server, closing(browser.new_context(**options)) as context:
        page = context.new_page()
        for name in addresses(pages):
            if name in ("index.html", "search.html"):  # the one leads on to the book, the other needs its script
                continue
            page.goto(server + name, wait_until="load", timeout=PAGE_TIMEOUT_MS)
            heading = page.locator("main h1").first
            if not heading.is_visible() or page.locator("main").inner_text().count(" ") < 20:
                unreadable.append(name)
    assert not unreadable
