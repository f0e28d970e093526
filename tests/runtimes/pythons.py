"""The Pythons that this machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
RUNNING = "{}.{}".format(*sys.version_info[:2])


def interpreters() -> dict[str, str]:
    """A program for each Python version that this machine has, the running one not among them."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [str(path) for path in sorted(folder.glob("*/bin/python"))]
    candidates += filter(None, (shutil.which(f"python{version}") for version in VERSIONS))
    found: dict[str, str] = {}
    for candidate in candidates:
        ask = "import sys; print('%d.%d' % sys.version_info[:2])"
        answer = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, timeout=30, check=False)
        if answer.stdout.strip() in VERSIONS:
            found.setdefault(answer.stdout.strip(), candidate)
    found.pop(RUNNING, None)
    return found


def has_its_own_tests(python: str) -> bool:
    """Whether the tests of asyncio are installed with it: distributions often leave them out."""
    asked = subprocess.run([python, "-c", "import test.test_asyncio"], capture_output=True, timeout=30, check=False)
    return asked.returncode == 0
