"""The front end's module in JupyterLab, and the kernel's side of its messages.

Here alone anywidget is imported, and only when a figure is shown: without it, or without the built bundle, a figure
is its text and its tables.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError
from labkit.live.answering import answer, canonical, respond_measured
from labkit.live.simulating import Runner
from labkit.running import run

BUILT = Path(__file__).parent / "built"
VIEW = "application/vnd.jupyter.widget-view+json"
STOPPED = "Stopped by the kernel's stop button; nothing of the run is left behind."

Send = Callable[..., None]


def figure_widget(description: Mapping[str, Any]) -> Any:
    """The widget of a live figure, or None where there is none to be had."""
    kind = _kind(BUILT)
    if kind is None:
        return None
    made = kind(description=dict(description))
    made.values = standing(description)
    kernel = _running_loop()
    made.on_msg(lambda widget, content, _buffers: receive(content, widget.send, kernel))
    return made


def standing(description: Mapping[str, Any]) -> dict[str, Any]:
    """Where a figure's controls stand at first: the values of its dials, and its seed."""
    return {entry["name"]: entry["value"] for entry in description["controls"]} | {"seed": description["seed"]}


def dials_of(figure: Any, widget: Any, check: Callable[[Mapping[str, Any]], Any]) -> Any:
    """The dials of a figure as traits, which follow its controls, and move them; `check` raises for what cannot be.

    With no front end (`widget` is None) they are traits all the same.
    """
    import traitlets

    first = standing(figure.description())
    kind = type("Dials", (traitlets.HasTraits,), {name: traitlets.Any() for name in first})

    def checked(owner: Any, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        check({name: value})
        return value

    kind = type("Dials", (kind,), {"_checked": traitlets.validate(*first)(checked)})
    made = kind(**first)
    if widget is not None:
        made.observe(lambda change: _tell(widget, change), names=list(first))
        widget.observe(lambda change: _follow(made, change["new"]), names="values")
    return made


def _tell(widget: Any, change: Mapping[str, Any]) -> None:
    if widget.values.get(change["name"]) != change["new"]:
        widget.values = {**widget.values, change["name"]: change["new"]}


def _follow(dials: Any, values: Mapping[str, Any]) -> None:
    with dials.hold_trait_notifications():
        for name, value in values.items():
            if getattr(dials, name) != value:
                setattr(dials, name, value)


def prediction_widget(description: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """The widget of a prediction, whose `values` the page and the kernel share; None where there is none."""
    kind = _kind(BUILT)
    return None if kind is None else kind(description=dict(description), values=dict(values))


def view(widget: Any) -> dict[str, Any]:
    """The part of a MIME bundle that shows the widget; empty without one."""
    if widget is None:
        return {}
    return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}


def receive(content: Mapping[str, Any], send: Send, kernel: asyncio.AbstractEventLoop | None) -> None:
    """Attend to a message where it can be: JupyterLab may hand it over in a thread beside the one that runs cells.

    A simulation runs in any thread, and so answers even while a cell runs. Ray starts in the main thread alone, and
    there alone the kernel's stop button ends a run: `kernel` is the loop of that thread.
    """
    if content.get("kind") != "measure":
        attend(content, send)
    elif threading.current_thread() is threading.main_thread() or kernel is None:
        _interruptible(content, send)
    else:
        kernel.call_soon_threadsafe(_interruptible, content, send)


def _interruptible(content: Mapping[str, Any], send: Send) -> None:
    if threading.current_thread() is not threading.main_thread():
        return attend(content, send)
    # Between two cells a kernel ignores SIGINT, and this runs between two cells.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        attend(content, send)
    finally:
        signal.signal(signal.SIGINT, usual)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def attend(content: Mapping[str, Any], send: Send, runner: Runner = run) -> None:
    """Answer one message of the front end through `send`; a defect is told to the reader, and raised."""
    kind, number = content.get("kind"), content.get("id")
    try:
        if kind == "answer":
            send({"id": number, "answer": canonical(answer(content.get("request")))})
        elif kind == "measure":
            send({"id": number, "answer": _measure(content.get("request"), number, send, runner)})
        elif kind == "vega":
            send({"id": number, "kind": "vega"}, buffers=[(BUILT / "vega.js").read_bytes()])
        else:
            send({"id": number, "error": f"the kernel does not know messages of kind {kind!r}"})
    except LabkitError as error:
        send({"id": number, "error": str(error)})
    except KeyboardInterrupt:
        send({"id": number, "error": STOPPED})
    except Exception as error:
        send({"id": number, "error": f"{type(error).__name__}: {error}"})
        raise


def _measure(request: Any, number: Any, send: Send, runner: Runner) -> str:
    told = 0

    def tell(done: int, total: int) -> None:
        # Each is a message to the page; one for each hundredth will do.
        nonlocal told
        if done == total or done - told >= total / 100:
            told = done
            send({"id": number, "kind": "progress", "done": done, "total": total})

    def begun(seconds: float) -> None:
        send({"id": number, "kind": "begun", "seconds": seconds})

    return canonical(respond_measured(request, tell, begun, runner))


@cache
def _kind(built: Path) -> Any:
    module, styles = built / "widget.js", built / "live.css"
    if not module.is_file():
        return None
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class LiveWidget(anywidget.AnyWidget):
        """A live figure or a prediction: its description tells the module which."""

        _esm = module.read_text("utf-8")
        _css = styles.read_text("utf-8") if styles.is_file() else ""
        description = traitlets.Dict().tag(sync=True)
        values = traitlets.Dict().tag(sync=True)

    return LiveWidget
