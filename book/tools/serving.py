"""Serve the finished pages to this machine alone."""

from __future__ import annotations

import errno
import functools
import http.server
from pathlib import Path

from book.tools.layout import BuildError

HOST = "127.0.0.1"
FIRST_PORT = 8000
PORTS_TRIED = 100


class PortTaken(BuildError):
    """Somebody else listens on the port that was asked for."""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serve files without a log line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


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


def serve(folder: Path, port: int | None) -> None:
    """Serve until Ctrl-C."""
    with open_server(folder, port) as server:
        print(f"The book is at {server.address} (Ctrl-C ends)", flush=True)
        server.serve_forever()
