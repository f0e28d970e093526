"""Make what live figures run on: bundles of `labkit/live/web` for pages, notebooks and the build's own Node.

Usage: ``python -m book.tools.web`` makes what JupyterLab needs, in `labkit/live/built`. Exit codes: 0 done,
1 impossible, with one sentence why.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

from book.tools import web_packages, wheels
from book.tools.fresh import alone, combined, files_in, make_if_stale
from book.tools.layout import BuildError, Layout, digest
from book.tools.licences import licences
from book.tools.node import esbuild

ROOT = Path(__file__).resolve().parents[2]
SOURCES = "labkit/live/web"
BUILT = "labkit/live/built"
STYLE = "live.css"
BROWSERS = "--target=chrome109,firefox115,safari16.4"
SCRIPT = ("--format=iife", BROWSERS)
MODULE = ("--format=esm", BROWSERS)
FOR_NODE = ("--format=esm", "--platform=node")
# Bundle → its entry among the sources, and how it is loaded. A classic script also works from `file://`.
PAGE_BUNDLES = {
    "page.js": ("page.js", *SCRIPT),
    "vega.js": ("vega_bundle.js", *SCRIPT),
    "worker.js": ("worker.js", *MODULE),
}
WIDGET_BUNDLES = {"widget.js": ("widget.js", *MODULE), "vega.js": ("vega_bundle.js", *SCRIPT)}
NODE_BUNDLES = {"prerender.mjs": ("prerender.js", *FOR_NODE), "compute.mjs": ("compute.js", *FOR_NODE)}


def sources_key(layout: Layout) -> str:
    """What every bundle depends on: the JavaScript and CSS, the packages, and how they are bundled."""
    files = [file for file in (layout.root / SOURCES).rglob("*") if file.is_file()]
    tools = (Path(__file__).read_text(), Path(__file__).with_name("licences.py").read_text())
    return combined(digest(layout.root, [*files, *web_packages.package_files(layout)]), *tools)


def make_live_folder(layout: Layout) -> dict[str, Path]:
    """Make everything that a page's live figures load: name among the pages → file.

    The folder's name carries a hash of the contents, so a browser may keep it for as long as it likes.
    """
    python = files_in(wheels.make_python(layout))
    packed = [name for name in python if f"{name}.gz" in python]
    library, archives = f"pyodide/{wheels.LIBRARY}", [name for name in python if name.endswith(".whl")]
    sizes = {name: file.stat().st_size for name, file in python.items() if is_fetched(name, packed)}
    for_python = {
        "library": library,
        "archives": archives,
        "snapshot": wheels.SNAPSHOT,
        "packed": packed,
        # What must be there before the first answer: with a snapshot, the files of modules come later.
        "bytes": sum(size for name, size in sizes.items() if name not in (library, *archives)),
        "bytesWithoutSnapshot": sum(size for name, size in sizes.items() if name != wheels.SNAPSHOT),
    }
    define = f"--define:LIVE_FILES={json.dumps(for_python)}"
    folder = layout.web / "page"
    key = combined(sources_key(layout), define)
    make_if_stale(folder, key, lambda new: bundle(layout, new, PAGE_BUNDLES, define))
    named = files_in(folder) | python
    version = digest_of(named)
    return {f"live-{version}/{name}": file for name, file in named.items()}


def is_fetched(name: str, packed: list[str]) -> bool:
    """Whether a page's worker fetches the file: not programs, which are imported, nor what is there packed as well."""
    return name not in packed and not name.endswith((".mjs", ".js"))


def make_node_programs(layout: Layout) -> Path:
    """Bring the bundles that the build itself runs with Node up to date and return their folder."""
    folder = layout.web / "node"
    make_if_stale(folder, sources_key(layout), lambda new: bundle(layout, new, NODE_BUNDLES))
    return folder


def make_widget(layout: Layout) -> bool:
    """Bring what JupyterLab loads up to date; return whether anything was made."""
    folder = layout.root / BUILT
    if made := make_if_stale(folder, sources_key(layout), lambda new: bundle(layout, new, WIDGET_BUNDLES)):
        print("Made the live figures' program for JupyterLab", flush=True)
    return made


def bundle(layout: Layout, folder: Path, bundles: dict[str, tuple[str, ...]], *options: str) -> None:
    """Put these bundles into `folder`, with the style and the licences of all that is in them."""
    sources = layout.root / SOURCES
    notes = folder / "inputs.json"
    packages: set[str] = set()
    for name, (entry, *kind) in bundles.items():
        esbuild(layout, sources / entry, folder / name, *kind, *options, f"--metafile={notes}")
        packages |= packages_in(json.loads(notes.read_text()))
    notes.unlink()
    if bundles is not NODE_BUNDLES:
        if not (sources / STYLE).is_file():
            raise BuildError(f"{SOURCES}/{STYLE} is missing, and the pages need it.")
        esbuild(layout, sources / STYLE, folder / STYLE, BROWSERS)
        packages |= {"pyodide"} if bundles is PAGE_BUNDLES else set()
        (folder / "licences.txt").write_text(licences(layout, sorted(packages)))


def packages_in(notes: dict) -> set[str]:
    """The npm packages that esbuild says a bundle contains."""
    found = (re.search(r".*node_modules/((?:@[^/]+/)?[^/]+)/", name) for name in notes["inputs"])
    return {match[1] for match in found if match}


def digest_of(named: dict[str, Path]) -> str:
    """A short hash over names and contents."""
    parts = [name + digest(file.parent, [file]) for name, file in sorted(named.items())]
    return combined(*parts)[:12]


def main(layout: Layout | None = None) -> int:
    """Make what JupyterLab needs and return the exit code."""
    layout = layout or Layout(ROOT)
    try:
        with alone(layout):
            web_packages.install(layout)
            make_widget(layout)
    except BuildError as error:
        shutil.rmtree(layout.root / f"{BUILT}.new", ignore_errors=True)
        reason = " ".join([line for line in str(error).splitlines() if line.strip()][:2])
        instead = "are those of an earlier build" if (layout.root / BUILT).is_dir() else "stay still"
        print(f"Live figures in JupyterLab {instead}, since their program cannot be made: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
