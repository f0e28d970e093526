"""Keep the pages free of requests to other hosts.

Thebe is taken out: Jupyter Book always loads it, and it would fetch its program and a kernel from elsewhere.
"""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.config import Config


def setup(app: Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    app.connect("config-inited", silence_thebe)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def silence_thebe(app: Sphinx, _config: Config) -> None:
    """Disconnect what sphinx_thebe connected, and drop its style; Jupyter Book has no switch for that."""
    app.registry.css_files[:] = [css for css in app.registry.css_files if css[0] != "sphinx-thebe.css"]
    for listeners in list(app.events.listeners.values()):
        for listener in list(listeners):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)
