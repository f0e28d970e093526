"""Look at built pages as a reader's browser does, and name everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

# The last one makes a request to any other host fail at once, as it does for a reader without a network.
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PAGE_TIMEOUT_MS = 30_000

# An alt text that is a file's name tells nothing: Sphinx writes one where the author wrote none.
IMAGES_WITHOUT_ALT = """() => {
  const hidden = e => e.closest('[aria-hidden=true], [role=presentation]');
  const useless = t => !t || /\\.(png|svg|jpe?g|gif|webp)$/i.test(t.trim());
  const images = [...document.images].filter(e => !hidden(e) && useless(e.getAttribute('alt')));
  const outermost = e => !e.parentElement.closest('svg');
  const drawings = [...document.querySelectorAll('svg')].filter(e => !hidden(e) && outermost(e)
    && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby') && !e.querySelector('title'));
  return [...images.map(e => e.getAttribute('src')), ...drawings.map(e => e.outerHTML.slice(0, 60))];
}"""
WIDER_THAN_THE_WINDOW = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


@contextmanager
def open_browser(chromium: str) -> Iterator[Browser]:
    """Start a headless Chromium and end it afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A window of one width, whose reader prefers one theme; pages opened in it share its cache."""

    def __init__(self, browser: Browser, theme: str, width: int) -> None:
        self.theme, self.width = theme, width
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        self.context.set_default_timeout(PAGE_TIMEOUT_MS)
        self.context.add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")

    def problems(self, address: str) -> list[str]:
        """Open one page, and say what is wrong with it."""
        page = self.context.new_page()
        problems = listen(page, urlsplit(address).netloc)
        try:
            page.goto(address, wait_until="load")
            page.wait_for_load_state("networkidle")
            problems += self.look(page)
        finally:
            page.close()
        return [f"{urlsplit(address).path} ({self.theme}, {self.width} px): {problem}" for problem in problems]

    def look(self, page: Page) -> Iterator[str]:
        """What is wrong with the page as it stands there."""
        shown = page.evaluate("() => document.documentElement.dataset.theme")
        if shown not in (None, self.theme):
            yield f"shows the {shown} theme instead of the {self.theme} one"
        yield from (f"image without alt text: {image}" for image in page.evaluate(IMAGES_WITHOUT_ALT))
        if page.evaluate(WIDER_THAN_THE_WINDOW):
            yield f"scrolls sideways at {self.width} pixels"

    def close(self) -> None:
        """Close the window."""
        self.context.close()


def listen(page: Page, host: str) -> list[str]:
    """Collect from now on what the page requests elsewhere, what fails and what its console reports."""
    problems: list[str] = []

    def on_request(request) -> None:
        target = urlsplit(request.url)
        if target.scheme not in ("data", "blob") and target.netloc != host:
            problems.append(f"requests {request.url}")

    def on_console(message) -> None:
        if message.type == "error":
            problems.append(f"console: {message.text}")

    def on_response(response) -> None:
        if response.status >= 400:
            problems.append(f"{response.url} answers {response.status}")

    def on_failure(request) -> None:
        if request.failure != "net::ERR_ABORTED":  # given up by the browser itself, as when a page redirects
            problems.append(f"could not load {request.url}: {request.failure}")

    page.on("request", on_request)
    page.on("console", on_console)
    page.on("response", on_response)
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("requestfailed", on_failure)
    return problems


class References(HTMLParser):
    """The places of a page that can be linked to, and what the page links to or loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note one element's `id`, `name`, `href` and `src`."""
        for name, value in attributes:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value or "")
            elif name in ("href", "src") and value:
                self.targets.append(value)


def pages_below(root: Path) -> list[Path]:
    """The built pages; themes leave templates of theirs in `_static`."""
    return [file for file in sorted(root.rglob("*.html")) if "_static" not in file.relative_to(root).parts]


def broken_links(root: Path) -> list[str]:
    """Links between the pages below `root` whose file or anchor does not exist."""
    pages = {file: References(file.read_text()) for file in pages_below(root)}
    problems = []
    for file, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            linked = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            where = f"{file.relative_to(root).as_posix()} links to {target}"
            if not linked.is_file():
                problems.append(f"{where}, which does not exist")
            elif parts.fragment and linked in pages and unquote(parts.fragment) not in pages[linked].anchors:
                problems.append(f"{where}, which has no such place")
    return problems
