"""Run the notebooks whose results are out of date, one after another, each in a kernel of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from book.tools.layout import BuildError, Layout, digest, without_colours
from book.tools.processes import Started

CELL_TIMEOUT = 300
PARTS_OF_LABKIT = ("*.py", "*.css", "*.js", "*.mplstyle")
# The front end of live figures: a run does not depend on it, and a later step puts it on the pages.
NO_PART_OF_A_RUN = ("labkit/live/web/", "labkit/live/built/")


def shared_key(layout: Layout) -> str:
    """What every notebook's result depends on: labkit and the versions of all packages."""
    labkit = layout.root / "labkit"
    files = [file for pattern in PARTS_OF_LABKIT for file in labkit.rglob(pattern)]
    relevant = [file for file in files if not belongs_to_front_end(layout, file)]
    return digest(layout.root, [*relevant, layout.root / "requirements.lock"])


def belongs_to_front_end(layout: Layout, file: Path) -> bool:
    """Whether a file is JavaScript or style that no run depends on."""
    return file.relative_to(layout.root).as_posix().startswith(NO_PART_OF_A_RUN)


def notebook_key(layout: Layout, notebook: Path) -> str:
    """Change when the notebook's cells, labkit or a package change; outputs stored in it do not count."""
    content = nbformat.read(notebook, as_version=4)
    cells = [[cell.cell_type, cell.source, cell.metadata] for cell in content.cells]
    text = json.dumps([cells, content.metadata, shared_key(layout)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def execute_stale(layout: Layout, *, cell_timeout: float = CELL_TIMEOUT) -> list[Path]:
    """Bring `_build/executed` up to date and return the notebooks that were run."""
    layout.executed.mkdir(parents=True, exist_ok=True)
    notebooks = layout.notebooks()
    forget_removed(layout, notebooks)
    keys = {notebook: notebook_key(layout, notebook) for notebook in notebooks}
    stale = [notebook for notebook in notebooks if not is_fresh(layout, notebook, keys[notebook])]
    for number, notebook in enumerate(stale, start=1):
        label = f"[{number}/{len(stale)}] {notebook.relative_to(layout.root).as_posix()}"
        content = execute(layout, notebook, label, cell_timeout)
        keep(layout, notebook, content, keys[notebook])
    return stale


def is_fresh(layout: Layout, notebook: Path, key: str) -> bool:
    """Whether the executed copy came from these cells, this labkit and these packages."""
    executed = layout.executed / notebook.name
    key_file = executed.with_suffix(".key")
    return executed.exists() and key_file.exists() and key_file.read_text() == key


def forget_removed(layout: Layout, notebooks: list[Path]) -> None:
    """Delete executed copies whose notebook has gone."""
    stems = {notebook.stem for notebook in notebooks}
    for file in layout.executed.iterdir():
        if file.stem not in stems:
            file.unlink()


def keep(layout: Layout, notebook: Path, content: nbformat.NotebookNode, key: str) -> None:
    """Store the executed copy; its key comes last, so that an interrupted write is never taken as fresh."""
    executed = layout.executed / notebook.name
    key_file = executed.with_suffix(".key")
    key_file.unlink(missing_ok=True)
    nbformat.write(content, executed)
    key_file.write_text(key)


def take_over(layout: Layout, notebook: Path, content: nbformat.NotebookNode, key: str) -> None:
    """Keep what somebody else has run as if it had been run here, unless what `key` stands for has changed since."""
    if key == notebook_key(layout, notebook):
        layout.executed.mkdir(parents=True, exist_ok=True)
        complete(content)
        for cell in content.cells:
            for output in cell.get("outputs", ()):
                if output.output_type == "execute_result":
                    output.execution_count = cell.execution_count
            describe(cell)
        keep(layout, notebook, content, key)


def complete(content: nbformat.NotebookNode) -> None:
    """Say which language it is in, which a kernel would have said to JupyterLab."""
    content.metadata.setdefault("language_info", {"name": "python", "pygments_lexer": "ipython3"})


def execute(layout: Layout, notebook: Path, label: str, cell_timeout: float) -> nbformat.NotebookNode:
    """Run every cell and return the notebook with its outputs."""
    content = nbformat.read(notebook, as_version=4)
    complete(content)
    client = NotebookClient(
        content,
        timeout=cell_timeout,
        startup_timeout=60,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(layout.labs)}},
    )
    started = Started()
    with contextlib.ExitStack() as stack:
        stack.callback(started.end)
        show = stack.enter_context(progress(label, len(content.cells)))
        log = stack.enter_context(tempfile.TemporaryFile("w+"))  # a kernel's own words matter only when it dies
        start_kernel(client, label, stack, log)
        stack.callback(started.note)  # before the kernel goes, and with it the knowledge of its children
        for index in range(len(content.cells)):
            show(index + 1)
            run_cell(client, f"labs/{notebook.name}, cell {index + 1}", index, log)
            describe(content.cells[index])
    return content


def describe(cell: nbformat.NotebookNode) -> None:
    """Give the cell's picture the description that labkit's figures carry as their plain text.

    A page takes alternative text from the cell's metadata alone. What an author has put there stays.
    """
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        if "image/png" in data and data.get("text/plain"):
            image = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
            image.setdefault("alt", " ".join(data["text/plain"].split()))


def start_kernel(client: NotebookClient, label: str, stack: contextlib.ExitStack, log: IO[str]) -> None:
    """Start the kernel and leave its end to `stack`."""
    try:
        stack.enter_context(client.setup_kernel(stderr=log))
    except RuntimeError as error:
        raise BuildError(f"{label}: the kernel did not start: {error}\n\n{words(log)}") from None


def words(log: IO[str]) -> str:
    """What a kernel wrote on its standard error."""
    log.seek(0)
    return without_colours(log.read())


def run_cell(client: NotebookClient, where: str, index: int, log: IO[str]) -> None:
    """Run one cell; whatever goes wrong becomes one message that says where."""
    cell = client.nb.cells[index]
    try:
        client.execute_cell(cell, index)
    except CellExecutionError as error:
        traceback = without_colours(error.traceback)
        raise BuildError(f"{where}: {error.ename}: {error.evalue}\n\n{traceback}") from None
    except CellTimeoutError:
        raise BuildError(f"{where}: still running after {client.timeout} s\n\n{cell.source}") from None
    except DeadKernelError:
        raise BuildError(f"{where}: the kernel died\n\n{cell.source}\n\n{words(log)}") from None


@contextlib.contextmanager
def progress(label: str, cells: int) -> Iterator[Callable[[int], None]]:
    """Give a function that shows which cell runs; without a terminal, only the last is printed."""
    on_terminal = sys.stdout.isatty()
    begun = time.monotonic()
    line = label

    def show(cell: int) -> None:
        nonlocal line
        line = f"{label}: cell {cell} of {cells}, {time.monotonic() - begun:.1f} s"
        if on_terminal:
            width = os.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", flush=True)

    try:
        yield show
        show(cells)
    finally:
        print("" if on_terminal else line, flush=True)
