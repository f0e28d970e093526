"""Where the book's sources are, and where each step of the build leaves its result."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class BuildError(Exception):
    """The build cannot go on; its text is the whole message for the person who started it."""


@dataclass(frozen=True)
class Layout:
    """The folders of one copy of the repository, all below `root`."""

    root: Path

    @property
    def labs(self) -> Path:
        """The notebooks as their authors left them."""
        return self.root / "labs"

    @property
    def build(self) -> Path:
        """Everything that can be deleted and made again."""
        return self.root / "_build"

    @property
    def executed(self) -> Path:
        """Notebooks with the outputs of their last run, each beside the key of that run."""
        return self.build / "executed"

    @property
    def source(self) -> Path:
        """What Sphinx reads: chapters, executed notebooks, configuration, files for the browser."""
        return self.build / "source"

    @property
    def html(self) -> Path:
        """The finished pages; Jupyter Book chooses this name."""
        return self.build / "html"

    @property
    def npm(self) -> Path:
        """The packages of package-lock.json."""
        return self.build / "npm"

    @property
    def web(self) -> Path:
        """The bundles, Pyodide and wheels that live figures run on."""
        return self.build / "web"

    @property
    def ablations(self) -> Path:
        """What the command `ablations` printed last."""
        return self.build / "ablations.json"

    @property
    def live(self) -> Path:
        """Executed notebooks as pages show them, and each live figure by itself."""
        return self.build / "live"

    def notebooks(self) -> list[Path]:
        """The labs, in the order of their numbers."""
        return sorted(self.labs.glob("*.ipynb"))


def digest(base: Path, files: Iterable[Path]) -> str:
    """A SHA-256 over the names below `base` and the contents of `files`, whatever their order."""
    total = hashlib.sha256()
    for file in sorted(set(files)):
        name = file.relative_to(base).as_posix().encode()
        content = file.read_bytes()
        # Lengths keep "ab" + "c" apart from "a" + "bc".
        total.update(b"%d %d " % (len(name), len(content)) + name + content)
    return total.hexdigest()


def without_colours(text: str) -> str:
    """The text of a program that took its output for a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()
