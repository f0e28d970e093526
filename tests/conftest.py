"""The browser, a server for built pages, and the built book itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from book.tools.serving import open_server
from tests.book import page_checker

ROOT = Path(__file__).parents[1]
BUILD_TIMEOUT = 2400
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[page_checker.Browser]:
    """A headless Chromium; where LABKIT_REQUIRE_BROWSER is set, going without is a failure."""
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        missing = f"no Chromium on the path (looked for {', '.join(BROWSERS)})"
        if os.environ.get("LABKIT_REQUIRE_BROWSER"):
            pytest.fail(missing)
        pytest.skip(missing)
    with page_checker.open_browser(found) as started:
        yield started


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve `folder` on a free port of this machine and give the address."""
    with open_server(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join(timeout=10)


@pytest.fixture
def serve():
    """The context manager that serves a folder."""
    return serving


@pytest.fixture(scope="session")
def pages() -> Path:
    """The folder of the built book; only what is stale is built."""
    command = [sys.executable, "-m", "book.tools.build", "--no-serve"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False)
    if done.returncode:
        pytest.fail(f"the book does not build:\n{done.stdout}{done.stderr}", pytrace=False)
    return ROOT / "_build" / "html"
