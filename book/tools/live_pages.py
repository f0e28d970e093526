"""Put live figures onto the pages: a picture and numbers that need no script, and the data that make them live.

A notebook's output carries a figure's description. This step adds a drawing made by Node, and writes both as the
HTML that Jupyter Book takes over; the runs that the book carries go into a script, which a page loads when a hand
comes near the figure.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from book.tools import nearby, node, web, wheels
from book.tools.fresh import combined
from book.tools.layout import BuildError, Layout
from book.tools.mounts import mount, prediction

LIVE = "application/vnd.labkit.live+json"
PREDICTION = "application/vnd.labkit.prediction+json"
CLAIMS = "application/vnd.labkit.claims+json"
SHORT_LINES = 6
"""A cell of up to so many lines is left open, whatever it shows."""
CACHE = ".cache"
RENDERING_TIMEOUT = 300


def prepare(layout: Layout) -> None:
    """Bring `_build/live` up to date: every executed notebook as its page shows it, and each figure by itself."""
    layout.live.mkdir(parents=True, exist_ok=True)
    cache = Cache(layout)
    notebooks = sorted(layout.executed.glob("*.ipynb"))
    for executed in notebooks:
        notebook = nbformat.read(executed, as_version=4)
        replace_outputs(layout, cache, executed.stem, notebook)
        write_if_changed(layout.live / executed.name, nbformat.writes(notebook) + "\n")
    cache.forget_unused()
    stems = {notebook.stem for notebook in notebooks}
    for file in layout.live.iterdir():
        if file.stem not in stems and file.name != CACHE:
            shutil.rmtree(file) if file.is_dir() else file.unlink()


class Cache:
    """Texts by the key of what they were made from."""

    def __init__(self, layout: Layout) -> None:
        self.folder = layout.live / CACHE
        self.folder.mkdir(exist_ok=True)
        self.used: set[Path] = set()

    def get(self, key: str) -> str | None:
        """The text made from this, or None."""
        file = self.folder / key
        self.used.add(file)
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def put(self, key: str, text: str) -> str:
        """Keep a text and return it; an interrupted write leaves nothing behind that could be taken for it."""
        part = self.folder / f"{key}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(self.folder / key)
        return text

    def forget_unused(self) -> None:
        """Delete what nobody has asked for."""
        for file in self.folder.iterdir():
            if file not in self.used:
                file.unlink()


def replace_outputs(layout: Layout, cache: Cache, stem: str, notebook: nbformat.NotebookNode) -> None:
    """Give each live figure and prediction of a notebook its HTML, and write each figure to a file of its own."""
    figures: dict[str, str] = {}
    runs: dict[str, str] = {}
    for cell in notebook.cells:
        fold(cell)
    for data in outputs(notebook):
        if LIVE in data:
            name = data[LIVE]["name"]
            if name in figures:
                raise BuildError(f"labs/{stem}.ipynb shows two live figures called {name!r}: give one another name.")
            script_name, script = runs_script(carried(layout, cache, stem, data[LIVE]))
            runs[script_name] = script
            data["text/html"] = figures[name] = figure(layout, cache, stem, data[LIVE] | {"nearby": script_name})
        elif PREDICTION in data:
            data["text/html"] = prediction(data[PREDICTION], data["text/html"])
        if LIVE in data or PREDICTION in data:
            # The HTML carries the description, and a widget's view needs a kernel.
            for mime in [mime for mime in data if not mime.startswith("text/")]:
                del data[mime]
    files = {f"{name}.html": html for name, html in figures.items()}
    files |= {f"{name}.js": script for name, script in runs.items()}
    keep_files(layout.live / stem, files)


def outputs(notebook: nbformat.NotebookNode) -> Iterator[dict[str, Any]]:
    """What the cells show, each in its several forms."""
    for cell in notebook.cells:
        yield from shown(cell)


def shown(cell: nbformat.NotebookNode) -> Iterator[dict[str, Any]]:
    """What one cell shows."""
    yield from (output.data for output in cell.get("outputs", ()) if "data" in output)


def fold(cell: nbformat.NotebookNode) -> None:
    """Fold the long code that sets up a live figure, a question or the table of claims: it is one click away.

    On a page, twenty lines of dials would stand between a reader and the figure that they make.
    """
    if cell.source.count("\n") < SHORT_LINES:
        return
    for data in shown(cell):
        if LIVE in data or CLAIMS in data or (PREDICTION in data and not data[PREDICTION]["reveal"]):
            cell.metadata["tags"] = sorted({*cell.metadata.get("tags", ()), "hide-input"})


def figure(layout: Layout, cache: Cache, stem: str, description: dict[str, Any]) -> str:
    """A live figure's HTML."""
    return mount(
        description, drawing(layout, cache, f"{stem}-{description['name']}", description["initial"]["picture"])
    )


def carried(layout: Layout, cache: Cache, stem: str, description: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that the book carries for a figure, computed unless they are those of the last build."""
    where = f"labs/{stem}.ipynb, live figure {description['name']!r}"
    tool = Path(nearby.__file__).read_text()
    key = combined("nearby", json.dumps(description, sort_keys=True), wheels.python_key(layout), tool)
    known = cache.get(key)
    if known is None:
        begun = time.monotonic()
        found = compute(where, description)
        known = cache.put(key, json.dumps(found))
        seconds = time.monotonic() - begun
        print(f"{where}: {len(found)} runs that the book carries, {seconds:.1f} s", flush=True)
    return json.loads(known)


def runs_script(runs: list[dict[str, Any]]) -> tuple[str, str]:
    """The runs as a script that a page may load, also from a file, and its name, which tells its contents."""
    text = json.dumps(runs, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return name, f'(globalThis.labkitRuns ??= {{}})["{name}"] = {text};\n'


def compute(where: str, description: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that the book carries; the one that the notebook shows is run again, and must be the same."""
    positions = nearby.candidates(description)
    requests = [nearby.request_for(description, parameters) for parameters in positions]
    initial = description["initial"]
    again, *answers = nearby.answers([initial["request"], *requests])
    if "error" in again:
        raise BuildError(f"{where}: a page could not run it: {again['error']}.")
    if again != initial:
        raise BuildError(f"{where}: its run came out differently when the book was built.")
    pairs = zip(positions, answers, strict=True)
    return [{"parameters": parameters, "answer": nearby.small(answer, initial)} for parameters, answer in pairs]


def drawing(layout: Layout, cache: Cache, name: str, picture: dict[str, Any]) -> str:
    """A picture as SVG, drawn by the same module that draws it in a browser."""
    key = combined("drawing", name, json.dumps(picture, sort_keys=True), web.sources_key(layout))
    known = cache.get(key)
    if known is None:
        program = web.make_node_programs(layout) / "prerender.mjs"
        line = json.dumps({"id": name, "picture": picture}) + "\n"
        label = f"Drawing the live figure {name}"
        known = cache.put(key, json.loads(node.run(label, program, text=line, timeout=RENDERING_TIMEOUT))["svg"])
    return known


def keep_files(folder: Path, files: dict[str, str]) -> None:
    """Let a folder hold exactly these files: name → text."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        write_if_changed(folder / name, text)
    for file in folder.iterdir():
        if file.name not in files:
            file.unlink()


def write_if_changed(file: Path, text: str) -> None:
    """Write a file unless it says so already."""
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
