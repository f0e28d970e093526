"""The browser, a server for built pages, and the built book itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from book.tools.serving import in_background
from labkit.doctor import BROWSERS
from tests.book import page_checker

ROOT = Path(__file__).parents[1]
BUILD_TIMEOUT = 2400


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


@pytest.fixture
def serve():
    """The context manager that serves a folder."""
    return in_background


@pytest.fixture(scope="session")
def pages() -> Path:
    """The folder of the built book; only what is stale is built."""
    command = [sys.executable, "-m", "book.tools.build", "--no-serve"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False)
    if done.returncode:
        pytest.fail(f"the book does not build:\n{done.stdout}{done.stderr}", pytrace=False)
    return ROOT / "_build" / "html"
