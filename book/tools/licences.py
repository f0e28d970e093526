"""The licences of what the pages carry from other people."""

from __future__ import annotations

import importlib.metadata
import json

from book.tools.layout import BuildError, Layout

RULE = "\n\n" + "-" * 72 + "\n\n"


def licences(layout: Layout, packages: list[str]) -> str:
    """Name, version and licence of these npm packages, each with its text where the package brings one."""
    return RULE.join([opening(), *(npm_licence(layout, name) for name in packages)]) + "\n"


def opening() -> str:
    """What the file is, and what comes from Python packages."""
    simpy = importlib.metadata.version("simpy")
    return (
        "The files of this folder contain the following works of others, unchanged but for being bundled.\n"
        f"SimPy {simpy} (MIT) carries its licence in its wheel; python_stdlib.zip is Python's (PSF-2.0)."
    )


def npm_licence(layout: Layout, name: str) -> str:
    """What one package says about its licence."""
    folder = layout.npm / "node_modules" / name
    try:
        about = json.loads((folder / "package.json").read_text())
    except FileNotFoundError:
        raise BuildError(f"The npm package {name} is missing from {layout.npm.name}.") from None
    head = f"{name} {about['version']} ({about.get('license', 'licence not named')})"
    if home := about.get("homepage"):
        head += f"\n{home}"
    texts = [file for file in sorted(folder.glob("*")) if file.stem.upper() in ("LICENSE", "LICENCE")]
    return "\n\n".join([head, *(file.read_text(encoding="utf-8").strip() for file in texts[:1])])
