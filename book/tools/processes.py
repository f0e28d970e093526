"""Know which processes a step of the build started, and leave none of them behind."""

from __future__ import annotations

import contextlib

import psutil


class Started:
    """The processes that this one starts, directly or through another, from now on.

    Once its parent has ended, a process cannot be told from a stranger's: call `note` while the parents
    live.
    """

    def __init__(self) -> None:
        self.earlier = set(psutil.Process().children(recursive=True))
        self.noted: set[psutil.Process] = set()

    def note(self) -> None:
        """Remember what runs now."""
        self.noted |= set(psutil.Process().children(recursive=True)) - self.earlier

    def end(self, grace: float = 5.0) -> None:
        """Ask what still runs to stop, and kill what has not after `grace` seconds.

        psutil compares start times, so a process id that was given to somebody else meanwhile is left alone.
        """
        self.note()
        for process in self.noted:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(self.noted, timeout=grace)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
