"""What live figures run on is made when something it is made from has changed, and only then."""

from __future__ import annotations

import json
import shutil
import zipfile
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from book.tools import node, web, web_packages, wheels
from book.tools.fresh import alone, make_if_stale
from book.tools.layout import BuildError, Layout

ROOT = Path(__file__).parents[2]
SOURCES = {
    "page.js": 'import { place } from "./place.js"; document.title = place;',
    "place.js": 'export const place = "page";',
    "worker.js": "self.files = LIVE_FILES;",
    "widget.js": "export default { render() {} };",
    "vega_bundle.js": 'import { truthy } from "vega-util"; globalThis.labkitVega = { truthy };',
    "prerender.js": "console.log(1);",
    "compute.js": "export const start = () => {};",
    "live.css": ".labkit-live { color: red }",
}


@pytest.fixture(scope="module")
def packages() -> Path:
    """The installed packages of the repository itself."""
    layout = Layout(ROOT)
    with alone(layout):
        web_packages.install(layout)
    return layout.npm


@pytest.fixture
def layout(tmp_path, packages) -> Layout:
    """A repository with a small front end and the real packages."""
    layout = Layout(tmp_path)
    folder = tmp_path / web.SOURCES
    folder.mkdir(parents=True)
    for name, text in SOURCES.items():
        (folder / name).write_text(text)
    for name in (*web_packages.PACKAGE_FILES, *wheels.PROJECT_FILES, "requirements.lock"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "labkit/__init__.py").write_text("answer = 42\n")
    layout.build.mkdir()
    layout.npm.symlink_to(packages, target_is_directory=True)
    return layout


@pytest.fixture
def no_snapshot(monkeypatch):
    """Count how often Python is packed, without starting it."""
    packed = []

    def run(label: str, *_given: object, **_more: object) -> str:
        packed.append(label)
        return ""

    monkeypatch.setattr(wheels, "run", run)
    monkeypatch.setattr(wheels, "esbuild", lambda *_given: None)
    return packed


def test_live_folder_is_made_again_only_after_a_change(layout, no_snapshot):
    first = web.make_live_folder(layout)
    names = {name.split("/", 1)[1] for name in first}
    assert {"page.js", "worker.js", "vega.js", "live.css", "licences.txt", "pyodide/pyodide.asm.wasm"} <= names
    times = {name: file.stat().st_mtime_ns for name, file in first.items()}
    assert web.make_live_folder(layout) == first
    assert {name: file.stat().st_mtime_ns for name, file in first.items()} == times
    assert len(no_snapshot) == 1
    (layout.root / web.SOURCES / "place.js").write_text('export const place = "elsewhere";')
    changed = web.make_live_folder(layout)
    assert set(changed).isdisjoint(first) and len(no_snapshot) == 1
    (layout.root / "labkit/__init__.py").write_text("answer = 43\n")
    assert set(web.make_live_folder(layout)).isdisjoint(changed) and len(no_snapshot) == 2


def test_the_same_sources_give_the_same_folder(layout, no_snapshot):
    first = web.make_live_folder(layout)
    shutil.rmtree(layout.web)
    assert set(web.make_live_folder(layout)) == set(first)


def test_wheels_hold_what_python_runs_and_nothing_else(layout, no_snapshot):
    archives = [file for name, file in web.make_live_folder(layout).items() if name.endswith(".whl")]
    names = [name for file in archives for name in zipfile.ZipFile(file).namelist()]
    assert {"labkit/__init__.py", "simpy/core.py"} <= set(names)
    assert not [name for name in names if name.endswith((".js", ".css", ".pyc"))]
    assert any("LICENSE" in name for name in names if name.startswith("simpy-"))
    assert json.loads((layout.web / "python/pyodide" / wheels.LOCK).read_text())["packages"] == {}


def test_licences_name_what_is_bundled(layout, no_snapshot):
    files = {name.split("/", 1)[1]: file for name, file in web.make_live_folder(layout).items()}
    text = files["licences.txt"].read_text()
    assert "vega-util" in text and "pyodide" in text and "MPL-2.0" in text and "SimPy" in text


def test_widget_is_made_once(layout, capsys):
    assert web.make_widget(layout)
    assert {file.name for file in (layout.root / web.BUILT).iterdir()} >= {"widget.js", "vega.js", "live.css"}
    assert not web.make_widget(layout)
    (layout.root / web.SOURCES / "live.css").write_text(".labkit-live { color: blue }")
    assert web.make_widget(layout)


def test_missing_and_broken_sources_are_named(layout):
    (layout.root / web.SOURCES / "widget.js").write_text("export default {")
    with pytest.raises(BuildError, match=r"(?s)^esbuild widget\.js failed.*widget\.js:1:16"):
        web.make_widget(layout)
    (layout.root / web.SOURCES / "widget.js").unlink()
    with pytest.raises(BuildError, match=r"^labkit/live/web/widget\.js is missing, and the pages need it\.$"):
        web.make_widget(layout)


def test_jupyterlab_opens_without_npm(layout, monkeypatch, capsys):
    def refuse(*_given: object) -> None:
        raise BuildError("npm ci failed:\n\nnpm error code ENOTFOUND")

    monkeypatch.setattr(web_packages, "install", refuse)
    assert web.main(layout) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("Live figures in JupyterLab stay still") and "ENOTFOUND" in told


def test_half_made_folder_is_never_taken_for_done(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise BuildError("no")

    with pytest.raises(BuildError):
        make_if_stale(tmp_path / "made", "key", fail)
    assert not (tmp_path / "made").exists()
    assert make_if_stale(tmp_path / "made", "key", lambda folder: (folder / "whole").write_text("whole"))
    assert not make_if_stale(tmp_path / "made", "key", fail)
    assert not (tmp_path / "made/half").exists()


def test_quoted_lines_of_minified_code_are_left_out():
    assert node.last_words("x" * 5000 + "\nError: no such file\n") == "Error: no such file"


def ask(address: str, headers: dict[str, str] | None = None) -> tuple[int, Message, bytes]:
    """One request, and what comes of it, whatever its status."""
    parts = urlsplit(address)
    with closing(HTTPConnection(parts.netloc, timeout=10)) as connection:
        connection.request("GET", parts.path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()


@pytest.mark.parametrize(
    ("name", "kind", "encoding", "kept"),
    [
        ("live-0123456789ab/pyodide/pyodide.mjs", "text/javascript", "gzip", True),
        ("live-0123456789ab/pyodide/pyodide.asm.wasm", "application/wasm", None, True),
        ("live-0123456789ab/labkit-1-py3-none-any.whl", "application/zip", None, True),
        ("live-0123456789ab/python.snapshot.gz", "application/octet-stream", None, True),
        ("book/index.html", "text/html", "gzip", False),
        ("_static/page.css", "text/css", "gzip", False),
    ],
)
def test_server_names_types_compresses_and_lets_keep(tmp_path, serve, name, kind, encoding, kept):
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"contents " * 100)
    with serve(tmp_path) as address:
        status, headers, _ = ask(address + name, {"Accept-Encoding": "gzip"})
        assert (status, headers.get_content_type(), headers["Content-Encoding"]) == (200, kind, encoding)
        assert ("immutable" in headers["Cache-Control"]) is kept
        assert ask(address + name)[2] == b"contents " * 100
        status, missing, _ = ask(f"{address}{name}x")
        assert (status, missing["Cache-Control"]) == (404, "no-cache")
        if encoding:
            status, _, content = ask(address + name, {"Accept-Encoding": "gzip", "If-None-Match": headers["ETag"]})
            assert (status, content) == (304, b"")
