"""Build the book: run the labs whose results are stale, turn everything into pages, serve them.

Usage: ``python -m book.tools.build [--no-serve] [--port N]``. Exit codes: 0 done, 1 a lab or a page failed,
2 the port cannot be had, 130 interrupted while building.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from book.tools import ablations, executing, live_pages, pages, serving, staging, web, web_packages
from book.tools.fresh import alone
from book.tools.layout import BuildError, Layout

ROOT = Path(__file__).resolve().parents[2]


def build(layout: Layout) -> None:
    """Bring `_build/html` up to date."""
    with alone(layout):
        executing.execute_stale(layout)
        ablations.make_table(layout)
        web_packages.install(layout)
        live_pages.prepare(layout)
        staging.stage(layout, web.make_live_folder(layout))
        if not pages.build_pages(layout):
            print("The pages are up to date", flush=True)


def port_number(text: str) -> int:
    """Read a port from the command line."""
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(port)
    return port


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make book", description="Build the book and serve it.")
    parser.add_argument("--no-serve", action="store_true", help="stop when the pages are built")
    parser.add_argument("--port", type=port_number, help="port from 1 to 65535 (default: the first free from 8000)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None, layout: Layout | None = None) -> int:
    """Run the command line and return its exit code."""
    options = parse(arguments)
    layout = layout or Layout(ROOT)
    try:
        if options.port and not options.no_serve:
            serving.open_server(layout.root, options.port).server_close()  # before minutes of work, not after
        build(layout)
    except serving.PortTaken as error:
        print(error, file=sys.stderr)
        return 2
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; nothing is left running.", file=sys.stderr)
        return 130
    return 0 if options.no_serve else serve(layout, options.port)


def serve(layout: Layout, port: int | None) -> int:
    """Serve until Ctrl-C, which is the ordinary end."""
    try:
        serving.serve(layout.html, port)
    except serving.PortTaken as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
    return 0


def run(arguments: list[str] | None = None, layout: Layout | None = None) -> int:
    """Run as a program of its own: a supervisor's SIGTERM ends kernels as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return main(arguments, layout)


if __name__ == "__main__":
    sys.exit(run())
