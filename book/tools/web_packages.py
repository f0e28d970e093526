"""What the pages need from npm: installed as package-lock.json says."""

from __future__ import annotations

import shutil
from pathlib import Path

from book.tools.layout import Layout, digest
from book.tools.node import run_npm

PACKAGE_FILES = ("package.json", "package-lock.json", ".npmrc")
# By itself npm waits for more than a minute before it says that there is no network.
PATIENCE = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", "--fetch-timeout=60000")


def install(layout: Layout) -> None:
    """Bring `_build/npm/node_modules` to what package-lock.json says."""
    files = package_files(layout)
    key, key_file = digest(layout.root, files), layout.npm / ".key"
    if key_file.exists() and key_file.read_text() == key:
        return
    layout.npm.mkdir(parents=True, exist_ok=True)
    key_file.unlink(missing_ok=True)
    for file in files:
        shutil.copyfile(file, layout.npm / file.name)
    run_npm(layout.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *PATIENCE)
    key_file.write_text(key)


def package_files(layout: Layout) -> list[Path]:
    """What the installed packages depend on."""
    return [layout.root / name for name in PACKAGE_FILES]
