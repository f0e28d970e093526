"""Lay out what Sphinx reads, touching only what changed, so that only changed pages are built again."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

from book.tools.layout import Layout

# Sphinx imports the extensions from the repository, and the tools are no part of the pages.
NOT_STAGED = {"tools", "extensions", "__pycache__", ".ipynb_checkpoints"}


def stage(layout: Layout, for_browser: dict[str, Path]) -> bool:
    """Make `_build/source` hold exactly the book's sources; return whether anything changed.

    `for_browser` names files that are copied to the pages' root: name there → file here.
    """
    wanted = sources(layout)
    wanted.update({f"extra/{name}": file for name, file in for_browser.items()})
    changed = False
    for name, file in wanted.items():
        target = layout.source / name
        if not (target.is_file() and filecmp.cmp(file, target, shallow=False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            changed = True
    for file in [file for file in layout.source.rglob("*") if file.is_file()]:
        if file.relative_to(layout.source).as_posix() not in wanted:
            file.unlink()
            changed = True
    remove_empty_folders(layout.source)
    return changed


def remove_empty_folders(top: Path) -> None:
    """Delete what is left of folders that carried a hash in their name."""
    for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def sources(layout: Layout) -> dict[str, Path]:
    """Every source file of the book: name in the staged tree → file."""
    found = {name: layout.root / name for name in ("_config.yml", "_toc.yml")}
    for folder in ("book", "labs"):
        for file in (layout.root / folder).rglob("*"):
            parts = file.relative_to(layout.root).parts
            if file.is_file() and not NOT_STAGED.intersection(parts) and file.suffix != ".ipynb":
                found["/".join(parts)] = file
    if layout.ablations.is_file():
        found[layout.ablations.name] = layout.ablations
    for notebook in layout.live.glob("*.ipynb"):
        found[f"labs/{notebook.name}"] = notebook
    for figure in layout.live.glob("*/*.html"):
        found[f"live/{figure.parent.name}/{figure.name}"] = figure
    for runs in layout.live.glob("*/*.js"):
        found[f"extra/runs/{runs.name}"] = runs
    return found
