"""Make a folder only when what it is made from has changed, and never leave half of one."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from book.tools.layout import Layout

try:
    import fcntl
except ImportError:  # on Windows two builds at once are the reader's own affair
    fcntl = None

KEY = ".key"


def make_if_stale(folder: Path, key: str, make: Callable[[Path], None]) -> bool:
    """Let `make` fill `folder` unless it was filled with the same `key` before; return whether it was called."""
    key_file = folder / KEY
    if key_file.is_file() and key_file.read_text() == key:
        return False
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    make(new)
    (new / KEY).write_text(key)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    return True


def files_in(folder: Path) -> dict[str, Path]:
    """The files of a folder that `make_if_stale` filled: name below it → file."""
    found = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != KEY)
    return {file.relative_to(folder).as_posix(): file for file in found}


def combined(*keys: str) -> str:
    """One key from several."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


@contextlib.contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Wait until no other build works in this copy of the repository, then keep others waiting."""
    layout.build.mkdir(parents=True, exist_ok=True)
    with (layout.build / ".lock").open("w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
