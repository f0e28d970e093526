"""Turn the staged sources into HTML with Jupyter Book; any warning is an error."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time

from book.tools import slimming
from book.tools.layout import BuildError, Layout, digest, without_colours

SPHINX_TIMEOUT = 1800
JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
# Jupyter Book's own entrance has neither title nor icon, and nothing to click where redirects are off.
ENTRANCE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="refresh" content="0; url=book/index.html">
    <link rel="icon" href="_static/favicon.svg">
    <title>Microservices, Measured</title>
  </head>
  <body><a href="book/index.html">Microservices, Measured</a></body>
</html>
"""


def build_pages(layout: Layout) -> bool:
    """Build the pages that changed; return whether there was anything to do.

    Sphinx reports the warnings of a page only when it reads that page, so after a failed build it would say
    nothing and succeed. The record of what was built is therefore written last, and without it all is built.
    """
    record_file = layout.build / "html.json"
    record = {"everywhere": key_of_all_pages(layout), "sources": key_of_sources(layout)}
    built = json.loads(record_file.read_text()) if record_file.exists() else {}
    if built == record and (layout.html / "index.html").exists():
        return False
    record_file.unlink(missing_ok=True)
    if built.get("everywhere") != record["everywhere"]:
        for folder in (layout.html, layout.build / ".doctrees"):
            shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    print("Building the pages", flush=True)
    run_jupyter_book(layout)
    slimming.slim(layout)
    (layout.html / "index.html").write_text(ENTRANCE)
    record_file.write_text(json.dumps(record))
    print(f"Built the pages in {time.monotonic() - started:.0f} s", flush=True)
    return True


def run_jupyter_book(layout: Layout) -> None:
    """Call Jupyter Book as its command line does, with everything but warnings kept quiet."""
    options = ["--path-output", layout.root, "--warningiserror", "--nitpick", "--keep-going", "--quiet"]
    command = [*JUPYTER_BOOK, "build", layout.source, *options]
    try:
        done = subprocess.run(
            command,
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SPHINX_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"Jupyter Book did not finish within {SPHINX_TIMEOUT} s") from None
    if done.returncode:
        raise BuildError(f"Jupyter Book failed:\n\n{without_colours(done.stdout)}")


def key_of_all_pages(layout: Layout) -> str:
    """What changes every page: configuration, order of chapters, extensions, packages, style, the set of pages.

    Style and templates are among them because Sphinx copies style sheets and scripts only if it also writes a page.
    """
    book = layout.root / "book"
    files = [layout.root / name for name in ("_config.yml", "_toc.yml", "requirements.lock")]
    for folder, pattern in {
        "extensions": "*.*",
        "_static": "**/*",
        "_templates": "**/*",
        "tools": "slimming.*",
    }.items():
        files += (file for file in (book / folder).glob(pattern) if file.is_file())
    files += layout.root.glob("package-lock.json")
    names = "\n".join(sorted(file.as_posix() for file in layout.source.rglob("*")))
    return digest(layout.root, files) + hashlib.sha256(names.encode()).hexdigest()


def key_of_sources(layout: Layout) -> str:
    """The contents of everything that was staged."""
    return digest(layout.source, [file for file in layout.source.rglob("*") if file.is_file()])
