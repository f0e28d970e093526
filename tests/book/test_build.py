"""The book's build runs what is stale and nothing else, and says clearly what went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from book.tools import build, executing, live_pages, pages, serving, slimming, staging
from book.tools.layout import BuildError, Layout

ROOT = Path(__file__).parents[2]


def write_notebook(layout: Layout, name: str, *cells: str) -> Path:
    """Put a notebook with these code cells among the labs."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell, id=f"c{i}") for i, cell in enumerate(cells)]
    )
    file = layout.labs / name
    nbformat.write(notebook, file)
    return file


@pytest.fixture
def layout(tmp_path) -> Layout:
    """A small repository with one lab."""
    for folder in ("labkit/figures", "labs", "book/tools", "book/extensions"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("requirements.lock", "_config.yml", "_toc.yml", "book/index.md", "book/tools/build.py"):
        (tmp_path / name).write_text("as it was")
    (tmp_path / "labkit/node.py").write_text("answer = 42\n")
    (tmp_path / "labkit/figures/live.js").write_text("export {}\n")
    layout = Layout(tmp_path)
    write_notebook(layout, "01_first.ipynb", "6 * 7")
    return layout


def descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def wait_until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("changed", ["labkit/node.py", "labkit/figures/live.js", "labkit/new.py", "requirements.lock"])
def test_key_changes_with_what_a_result_depends_on(layout, changed):
    notebook = layout.notebooks()[0]
    before = executing.notebook_key(layout, notebook)
    (layout.root / changed).write_text("changed = True\n")
    assert executing.notebook_key(layout, notebook) != before


def test_key_changes_with_a_cell(layout):
    before = executing.notebook_key(layout, layout.notebooks()[0])
    assert executing.notebook_key(layout, write_notebook(layout, "01_first.ipynb", "6 * 8")) != before


@pytest.mark.parametrize(
    "changed",
    ["book/index.md", "labkit/node.pyc", "README.md", "labkit/live/web/page.js", "labkit/live/built/live.css"],
)
def test_key_ignores_what_no_result_depends_on(layout, changed):
    notebook = layout.notebooks()[0]
    before = executing.notebook_key(layout, notebook)
    (layout.root / changed).parent.mkdir(parents=True, exist_ok=True)
    (layout.root / changed).write_text("changed = True\n")
    assert executing.notebook_key(layout, notebook) == before


def test_key_ignores_stored_outputs(layout):
    file = layout.notebooks()[0]
    before = executing.notebook_key(layout, file)
    notebook = nbformat.read(file, as_version=4)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="42")]
    notebook.cells[0].execution_count = 7
    nbformat.write(notebook, file)
    assert executing.notebook_key(layout, file) == before


def test_only_stale_notebooks_run(layout):
    write_notebook(layout, "02_second.ipynb", "'two'")
    assert [file.name for file in executing.execute_stale(layout)] == ["01_first.ipynb", "02_second.ipynb"]
    executed = nbformat.read(layout.executed / "01_first.ipynb", as_version=4)
    assert executed.cells[0].outputs[0].data["text/plain"] == "42"
    assert executing.execute_stale(layout) == []
    write_notebook(layout, "02_second.ipynb", "'three'")
    assert [file.name for file in executing.execute_stale(layout)] == ["02_second.ipynb"]
    (layout.labs / "01_first.ipynb").unlink()
    assert executing.execute_stale(layout) == []
    assert sorted(file.name for file in layout.executed.iterdir()) == ["02_second.ipynb", "02_second.key"]


def test_failing_notebook_is_named_and_leaves_no_process(layout, capsys):
    child = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)"
    write_notebook(layout, "02_broken.ipynb", "1", f"{child}\nraise ValueError('no quorum')")
    before = descendants()
    assert build.main(["--no-serve"], layout) == 1
    message = capsys.readouterr().err
    assert message.startswith("labs/02_broken.ipynb, cell 2: ValueError: no quorum")
    assert "\x1b" not in message
    assert descendants() <= before
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "600"]]
    assert not (layout.executed / "02_broken.ipynb").exists()


def test_dead_kernel_is_named_with_its_last_words(layout):
    dying = "import os, sys; os.write(2, b'out of memory'); os._exit(3)"
    write_notebook(layout, "01_first.ipynb", dying)
    with pytest.raises(BuildError, match=r"(?s)labs/01_first\.ipynb, cell 1: the kernel died.*out of memory"):
        executing.execute_stale(layout)


def test_cell_that_never_ends_is_named(layout):
    write_notebook(layout, "01_first.ipynb", "while True: pass")
    before = descendants()
    with pytest.raises(BuildError, match=r"labs/01_first\.ipynb, cell 1: still running after 1 s"):
        executing.execute_stale(layout, cell_timeout=1)
    assert descendants() <= before


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_build_leaves_no_process(layout, stop):
    marker = layout.root / "running"
    write_notebook(layout, "01_first.ipynb", f"open({str(marker)!r}, 'w'); import time; time.sleep(600)")
    program = (
        "import sys, pathlib; from book.tools import build; from book.tools.layout import Layout;"
        f"sys.exit(build.run(['--no-serve'], Layout(pathlib.Path({str(layout.root)!r}))))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(marker.exists)
        kernels = psutil.Process(process.pid).children(recursive=True)
        assert kernels
        os.kill(process.pid, stop)
        _, message = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert message.strip() == "Interrupted; nothing is left running."
    assert not [kernel for kernel in kernels if kernel.is_running()]


def test_taken_port_is_refused_before_the_build(layout, capsys, monkeypatch):
    monkeypatch.setattr(build, "build", lambda _layout: pytest.fail("built although nothing can be served"))
    with serving.open_server(layout.root, 0) as taken:
        assert build.main(["--port", str(taken.server_port)], layout) == 2
    refused = f"Port {taken.server_port} is already taken; choose another, or leave the port out to get a free one."
    assert capsys.readouterr().err.strip() == refused


def test_without_a_port_the_next_free_one_is_taken(layout):
    with serving.open_server(layout.root, None) as first, serving.open_server(layout.root, None) as second:
        assert first.server_port < second.server_port
        assert second.address == f"http://127.0.0.1:{second.server_port}/"


def test_staging_touches_only_what_changed(layout):
    (layout.root / "mathjax.js").write_text("math")
    layout.executed.mkdir(parents=True)
    executing.keep(layout, layout.notebooks()[0], nbformat.v4.new_notebook(), "key")
    live_pages.prepare(layout)
    browser_files = {"mathjax-1/m.js": layout.root / "mathjax.js"}
    assert staging.stage(layout, browser_files)
    index = layout.source / "book/index.md"
    os.utime(index, (1, 1))
    assert not staging.stage(layout, browser_files)
    assert index.stat().st_mtime == 1
    (layout.root / "book/more.md").write_text("more")
    assert staging.stage(layout, {})
    assert index.stat().st_mtime == 1
    assert not (layout.source / "extra").exists()
    names = {file.relative_to(layout.source).as_posix() for file in layout.source.rglob("*") if file.is_file()}
    assert names == {"_config.yml", "_toc.yml", "book/index.md", "book/more.md", "labs/01_first.ipynb"}


def test_failed_pages_are_built_again(layout, monkeypatch):
    calls = []

    def fail(_layout):
        calls.append("failed")
        raise BuildError("a warning")

    def succeed(_layout):
        calls.append("built")
        layout.html.mkdir(exist_ok=True)
        (layout.html / "index.html").write_text("page")

    staging.stage(layout, {})
    monkeypatch.setattr(slimming, "slim", lambda _layout: None)
    monkeypatch.setattr(pages, "run_jupyter_book", fail)
    with pytest.raises(BuildError):
        pages.build_pages(layout)
    monkeypatch.setattr(pages, "run_jupyter_book", succeed)
    assert pages.build_pages(layout)
    assert not pages.build_pages(layout)
    (layout.root / "book/index.md").write_text("changed")
    staging.stage(layout, {})
    assert pages.build_pages(layout)
    assert calls == ["failed", "built", "built"]
