"""What this machine has, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from labkit.machine import available_bytes, usable_cores
from labkit.runtimes.ray_session import NEEDED_BYTES

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""What Chromium is called, first what does the least beside drawing pages: without a screen nobody sees a window."""


@dataclass
class Finding:
    """One thing that was looked for: whether it is there, what was found, and the remedy if it is not."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at Python, packages, cores, memory and the browser. Starts nothing."""
    return list(_findings())


def _findings() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), python, "Python 3.11 or newer is needed")
    for package, use in (
        ("simpy", "simulated runs"),
        ("ray", "real processes and parallel sweeps"),
        ("pandas", "data frames"),
        ("matplotlib", "figures"),
        ("ipywidgets", "sliders in JupyterLab"),
        ("jupyter_book", "building the book"),
        ("pytest", "the tests"),
    ):
        yield _package(package, use)
    yield Finding("cores", True, str(usable_cores()))
    available = available_bytes()
    enough = available is None or available >= NEEDED_BYTES
    found = "unknown" if available is None else f"{available / 1e6:.0f} MB free"
    yield Finding("memory", enough, found, f"Ray and five nodes take about {NEEDED_BYTES / 1e6:.0f} MB")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    remedy = "only the tests of the built pages need it: install your system's chromium"
    yield Finding("chromium", browser is not None, browser or "not found", remedy)
    address = os.environ.get("RAY_ADDRESS", "")
    yield Finding("RAY_ADDRESS", True, address or "not set: Ray is started on this machine when needed")


def _package(name: str, use: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(name, False, f"not installed; needed for {use}", "`make .venv` installs everything")
    try:
        return Finding(name, True, f"{version(name.replace('_', '-'))}, for {use}")
    except ImportError:
        return Finding(name, True, f"installed, for {use}")
