"""Bring the table of ablations up to date: every safeguard taken out, and at how many seeds a checker noticed."""

from __future__ import annotations

import subprocess
import sys
import time

from book.tools.executing import shared_key
from book.tools.layout import BuildError, Layout, without_colours

COMMAND = [sys.executable, "-m", "labkit", "ablations", "--seeds", "100", "--json"]
TIMEOUT = 900


def make_table(layout: Layout) -> None:
    """Write what the command prints to `_build/ablations.json`, unless labkit and its packages are as they were."""
    table, key_file, key = layout.ablations, layout.ablations.with_suffix(".key"), shared_key(layout)
    if table.is_file() and key_file.is_file() and key_file.read_text() == key:
        return
    key_file.unlink(missing_ok=True)
    begun = time.monotonic()
    table.write_text(printed(layout), encoding="utf-8")
    key_file.write_text(key)
    print(f"Took out every safeguard that has an ablation in {time.monotonic() - begun:.0f} s", flush=True)


def printed(layout: Layout) -> str:
    """What the command prints; raises `BuildError` if a checker did not notice."""
    try:
        done = subprocess.run(
            COMMAND,
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"the ablations were not done within {TIMEOUT} s") from None
    if done.returncode:
        said = without_colours(done.stderr) or without_colours(done.stdout)
        raise BuildError(f"python -m labkit ablations ended with exit code {done.returncode}: {said}")
    return done.stdout
