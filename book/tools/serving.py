"""Serve the finished pages to this machine alone."""

from __future__ import annotations

import contextlib
import errno
import functools
import gzip
import http.server
import io
import re
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from book.tools.layout import BuildError

HOST = "127.0.0.1"
FIRST_PORT = 8000
PORTS_TRIED = 100
# WebAssembly is left out: here the way is short, and compressing it takes longer than sending it.
COMPRESSED = {".css", ".html", ".js", ".json", ".mjs", ".svg", ".txt"}
NAMED_BY_CONTENTS = re.compile(r"/live-[0-9a-f]{8,}/|/runs/[0-9a-f]{16}\.js$")


class PortTaken(BuildError):
    """Somebody else listens on the port that was asked for."""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serve files as a good static host does: right types, compressed, kept where their name tells their contents.

    No log line for each.
    """

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".whl": "application/zip",
        ".zip": "application/zip",
        ".gz": "application/octet-stream",  # a file of its own, not a page that travels compressed
        ".woff2": "font/woff2",
    }

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def end_headers(self) -> None:
        """Let a browser keep what is named by its contents, and ask again for all else."""
        is_kept = NAMED_BY_CONTENTS.match(self.path) and Path(self.translate_path(self.path)).is_file()
        self.send_header("Cache-Control", "public, max-age=31536000, immutable" if is_kept else "no-cache")
        super().end_headers()

    def send_head(self) -> BinaryIO | None:
        """Answer with the file, compressed where that helps and the browser takes it."""
        file = Path(self.translate_path(self.path))
        if not (file.is_file() and file.suffix in COMPRESSED and "gzip" in self.headers.get("Accept-Encoding", "")):
            return super().send_head()
        changed = file.stat()
        etag = f'"{changed.st_mtime_ns:x}-{changed.st_size:x}"'
        if self.headers.get("If-None-Match") == etag:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.end_headers()
            return None
        content = zipped(file, changed.st_mtime_ns)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(str(file)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", etag)
        self.send_header("Vary", "Accept-Encoding")
        self.end_headers()
        return io.BytesIO(content)


@functools.lru_cache(maxsize=256)
def zipped(file: Path, changed_ns: int) -> bytes:
    """A file's contents compressed; `changed_ns` keeps those of an earlier version from being taken for it."""
    return gzip.compress(file.read_bytes(), compresslevel=5, mtime=0)


class Server(http.server.ThreadingHTTPServer):
    """Serve one folder; a connection still open never keeps the program from ending."""

    daemon_threads = True

    @property
    def address(self) -> str:
        """What to type into the browser."""
        return f"http://{HOST}:{self.server_port}/"


def open_server(folder: Path, port: int | None) -> Server:
    """Listen on `port`; without one, on the first free one from 8000 on. 0 lets the system choose."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    ports = range(FIRST_PORT, FIRST_PORT + PORTS_TRIED) if port is None else [port]
    for candidate in ports:
        try:
            return Server((HOST, candidate), handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            reason = "already taken" if error.errno == errno.EADDRINUSE else "not allowed for you"
    if port is None:
        raise PortTaken(f"No port from {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} is free; use --port.")
    raise PortTaken(f"Port {port} is {reason}; choose another, or leave the port out to get a free one.")


@contextlib.contextmanager
def in_background(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port beside whatever else this program does, and give the address."""
    with open_server(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join(timeout=10)


def serve(folder: Path, port: int | None) -> None:
    """Serve until Ctrl-C."""
    with open_server(folder, port) as server:
        print(f"The book is at {server.address} (Ctrl-C ends)", flush=True)
        server.serve_forever()
