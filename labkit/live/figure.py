"""`live`: an experiment's dials as controls beside a picture, one object for JupyterLab and for the built page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from labkit.dials import suggestion
from labkit.errors import BadInput
from labkit.lab import Experiment, find
from labkit.live import markup
from labkit.live.answering import Answer, canonical, respond
from labkit.live.controls import control, needs
from labkit.live.latencies import Latencies
from labkit.live.pictures import Picture
from labkit.live.prediction import Prediction

MIME = "application/vnd.labkit.live+json"
Dials = Sequence[str] | Mapping[str, Sequence[Any] | None]
ELSEWHERE = (
    "In the book's pages and in JupyterLab this figure is drawn and has controls. Here is the run it opens with."
)
"""What a figure says where no front end shows it: in an export of the notebook, or in a viewer without scripts."""
NAME = re.compile(r"[a-z][a-z0-9_-]*")


def live(
    experiment: str | Experiment,
    dials: Dials,
    picture: Picture | None = None,
    measures: Sequence[str] | None = None,
    *,
    name: str | None = None,
    title: str | None = None,
    seed: int = 7,
    real: bool = False,
    prediction: Prediction | None = None,
    **values: Any,
) -> LiveFigure:
    """A figure whose named dials a reader can move; the last expression of a cell shows it.

    `dials` are names, or a mapping of names to the values that a control steps through (None: all of the dial's
    range). `picture` is what it draws (the latencies by default), `measures` those in its table (all by default),
    `values` where the named dials begin and what others are set to. `name`, the experiment's by default, must be its
    own on its page. With `real`, a button in JupyterLab runs the same on real processes and lays that over the
    simulation. A `prediction` is drawn against the result. Runs once; raises `BadInput` for what is not allowed.
    """
    chosen = experiment if isinstance(experiment, Experiment) else find(experiment)
    for dial in dials:
        if dial not in chosen.dials:
            raise BadInput(f"dials names {dial!r}: {suggestion(dial, chosen.dials)}")
    called = chosen.name if name is None else name
    if not NAME.fullmatch(called):
        raise BadInput(f"name is {called!r}: it must be of small letters, digits, - and _, and begin with a letter")
    drawing = Latencies() if picture is None else picture
    return LiveFigure(chosen, dials, drawing, measures, called, title or chosen.title, seed, real, prediction, values)


class LiveFigure:
    """What `live` makes; `answer` is the run with which it opens."""

    def __init__(
        self,
        experiment: Experiment,
        dials: Dials,
        picture: Picture,
        measures: Sequence[str] | None,
        name: str,
        title: str,
        seed: int,
        real: bool,
        prediction: Prediction | None,
        values: Mapping[str, Any],
    ):
        settings = experiment.settings(values)
        self.name, self.title = name, title
        self._head = {"name": name, "title": title, "experiment": experiment.name, "seed": seed, "real": bool(real)}
        steps = dials if isinstance(dials, Mapping) else dict.fromkeys(dials)
        self._controls = [
            control(dial, experiment.dials[dial], settings[dial], values)
            | {"needs": needs(dial, experiment.dials, settings, steps)}
            for dial, values in steps.items()
        ]
        self._fixed = {dial: settings[dial] for dial in values if dial not in dials}
        self._picture = json.loads(canonical({"name": picture.name, "options": picture.options}))
        self._measures = None if measures is None else list(measures)
        self._prediction = prediction
        self._experiment = experiment
        self._widget: Any = None
        self._dials: Any = None
        self.answer: Answer = respond(self.request())

    def request(self) -> dict[str, Any]:
        """The request of the run with which the figure opens."""
        return {
            "experiment": self._head["experiment"],
            "seed": self._head["seed"],
            "parameters": self._fixed | {entry["name"]: entry["value"] for entry in self._controls},
            "picture": self._picture,
            "measures": self._measures,
        }

    def description(self) -> dict[str, Any]:
        """All that a page needs to draw the figure and to ask for further runs, as JSON data."""
        described = {
            **self._head,
            "controls": self._controls,
            "fixed": self._fixed,
            "picture": self._picture,
            "measures": self._measures,
            "initial": self.answer,
            "nearby": "",  # the script with the runs that the book carries; its build fills this in
            "prediction": None if self._prediction is None else {"key": self._prediction.key},
        }
        return json.loads(canonical(described))

    @property
    def dials(self) -> Any:
        """The dials that the figure's controls move, and its `seed`, as traits of one object.

        Other widgets observe and link them: ``ipywidgets.link((figure.dials, "read_quorum"), (slider, "value"))``. To
        set one moves the figure's control. Raises `BadInput` for a value that the dial does not have.
        """
        from labkit.live import widget

        if self._dials is None:
            self._dials = widget.dials_of(self, self._shown(), self._check)
        return self._dials

    def _check(self, values: Mapping[str, Any]) -> None:
        (name, value), *_ = values.items()
        if name != "seed":
            self._experiment.settings(values)
        elif type(value) is not int or value < 0:
            raise BadInput(f"seed is {value!r}: it must be a whole number, 0 or more")

    def _shown(self) -> Any:
        from labkit.live import widget

        if self._widget is None:
            # One for the figure however often it is shown, so that all its views agree.
            self._widget = widget.figure_widget(self.description())
        return self._widget

    def html(self) -> str:
        """The figure's numbers and words, readable without any script."""
        caption = markup.element("figcaption", markup.element("b", escape(self.title)))
        inner = caption + markup.paragraph(ELSEWHERE) + markup.answered(self.answer)
        return markup.element("figure", inner, class_="labkit-live", data_labkit_live=self.name)

    def __str__(self) -> str:
        return f"{self.title}. {self.answer['picture']['text']}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = {MIME: self.description(), "text/html": self.html(), "text/plain": str(self)}
        from labkit.live import widget

        return bundle | widget.view(self._shown())
