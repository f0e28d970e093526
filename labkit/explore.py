"""`explore`: an experiment's dials as sliders in JupyterLab, its figure beside them, and a button for real processes.

Where no kernel is behind the page, the same cell shows the picture of the run that it began with.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape as escape_attribute
from io import BytesIO
from typing import TYPE_CHECKING, Any

from labkit.dials import AnyDial, Choice, Dial, Switch, suggestion
from labkit.errors import BadInput, LabkitError, MissingComponent
from labkit.lab import Experiment, find
from labkit.results import Result
from labkit.running import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Result], "Figure"]
Overlay = Callable[[Result, Result], "Figure"]

DECADES_FOR_LOG = 3
A_DECADE = (1, 1.5, 2, 3, 5, 7)
STEPS = 100
"""Into how many steps a linear slider cuts its range, about."""

FIRST_STEPS = 5

escape = partial(escape_attribute, quote=False)
CELL = "text-align:left;line-height:1.3;padding:2px 12px 2px 0"
STOPPED = "Stopped by the kernel's stop button; nothing of the run is left behind."


def explore(
    experiment: str | Experiment,
    dials: Sequence[str],
    draw: Draw | None = None,
    measures: Sequence[str] | None = None,
    *,
    seed: int = 7,
    real: bool = True,
    overlay: Overlay | None = None,
    runner: Callable[..., Result] = run,
    **fixed: Any,
) -> Explorer:
    """A panel that runs the simulation anew whenever one of the named dials moves, and draws what comes of it.

    `draw` makes the figure of a result (the latency distribution by default); `measures` are those in the table
    (all by default); `fixed` are values of other dials, or where the named ones begin. With `real`, a button runs
    the same on real processes and draws that over the simulation, by `overlay`. Raises `BadInput` at once if what
    it begins with is not allowed; what a reader sets later is answered in the panel.
    """
    return Explorer(experiment, dials, draw, measures, seed, real, overlay, runner, fixed)


class Explorer:
    """The panel that `explore` makes; `controls` are its widgets by dial, `result` the run that it shows."""

    def __init__(
        self,
        experiment: str | Experiment,
        dials: Sequence[str],
        draw: Draw | None,
        measures: Sequence[str] | None,
        seed: int,
        real: bool,
        overlay: Overlay | None,
        runner: Callable[..., Result],
        fixed: Mapping[str, Any],
    ):
        self.experiment = experiment if isinstance(experiment, Experiment) else find(experiment)
        for name in dials:
            if name not in self.experiment.dials:
                raise BadInput(f"dials names {name!r}: {suggestion(name, self.experiment.dials)}")
        values = self.experiment.settings(fixed)
        self._draw, self._overlay, self._run = draw or _latencies, overlay or _measured_over_simulated, runner
        self._measures = measures
        self._fixed = {name: value for name, value in fixed.items() if name not in dials}
        self.result: Result | None = None
        self.measured: Result | None = None
        self.figure: Figure | None = None
        self._build({name: values[name] for name in dials}, seed, real)
        began_with = self._simulate()
        for name in measures or ():
            if name not in began_with.measures:
                raise BadInput(f"measures names {name!r}: {suggestion(name, began_with.measures)}")
        self._show(began_with)

    def settings(self) -> dict[str, Any]:
        """What the panel stands at: every dial that is not at the experiment's default because of it."""
        return {**self._fixed, **{name: control.value for name, control in self.controls.items()}}

    def _build(self, values: Mapping[str, Any], seed: int, real: bool) -> None:
        widgets = _widgets()
        self.controls = {name: _control(name, self.experiment.dials[name], value) for name, value in values.items()}
        self.seed = widgets.BoundedIntText(
            value=seed,
            min=0,
            max=2**31 - 1,
            description="seed",
            style=_wide_label(),
            layout={"width": "19em"},
        )
        self.message, self.picture, self.table = (widgets.HTML() for _ in range(3))
        self.button = widgets.Button(
            description="Run on real processes",
            tooltip="Start a process for each node and run the same; the kernel's stop button ends it early",
            layout={"width": "auto"},
        )
        self.progress = widgets.IntProgress(min=0, description="operations", style=_wide_label())
        self.progress.layout.display = "none"
        self.status, self.overlaid = widgets.HTML(), widgets.HTML()
        helps = [self.experiment.dials[name].help for name in self.controls] + ["another seed, another run"]
        rows = [
            widgets.HBox([control, widgets.HTML(f"<small>{escape(text)}</small>")], layout={"flex_flow": "row wrap"})
            for control, text in zip([*self.controls.values(), self.seed], helps, strict=True)
        ]
        below = [widgets.HBox([self.button, self.progress]), self.status, self.overlaid] if real else []
        self.panel = widgets.VBox([*rows, self.message, self.picture, self.table, *below])
        # The front end holds back what a moving slider says until the kernel is idle, and then sends the latest
        # value alone: a drag needs neither a timer nor a thread here.
        for control in (*self.controls.values(), self.seed):
            control.observe(self._moved, names="value")
        self.button.on_click(self._run_real)

    def _simulate(self) -> Result:
        return self._run(self.experiment, seed=self.seed.value, **self.settings())

    def _moved(self, _change: Any) -> None:
        try:
            self._show(self._simulate())
        except LabkitError as error:
            self._refuse(str(error))
        except KeyboardInterrupt:
            self._refuse(STOPPED)
        except Exception as error:
            self._refuse(f"{type(error).__name__}: {error}")
            raise

    def _show(self, result: Result) -> None:
        self.result, self.figure = result, self._draw(result)
        self._forget_real()
        self.message.value = ""
        self.picture.value = _image(self.figure)
        self.table.value = _table(result, self._measures)
        self.button.disabled = False

    def _refuse(self, sentence: str) -> None:
        # A picture of other settings beside the sliders would be worse than none.
        self.result = self.figure = None
        self._forget_real()
        self.picture.value = self.table.value = ""
        self.message.value = _alert(sentence)
        self.button.disabled = True

    def _forget_real(self) -> None:
        self.measured = None
        self.status.value = self.overlaid.value = ""

    def _run_real(self, _button: Any) -> None:
        simulated = self.result
        if simulated is None or self.button.disabled:
            return
        self.button.disabled = True
        self.progress.max, self.progress.value = max(len(simulated.operations), 1), 0
        self.progress.layout.display = ""
        self._forget_real()
        self.status.value = _said("Running on real processes. The kernel's stop button ends it.")
        try:
            self.measured = self._run(
                self.experiment,
                runtime="ray",
                seed=self.seed.value,
                progress=self._advance,
                **self.settings(),
            )
            self._show_real(self.measured, simulated)
        except LabkitError as error:
            self.status.value = _alert(str(error))
        except KeyboardInterrupt:
            self.status.value = _said(STOPPED)
        except Exception as error:
            # A defect, whose traceback the kernel logs where few will look.
            self.status.value = _alert(f"{type(error).__name__}: {error}")
            raise
        finally:
            self.progress.layout.display = "none"
            self.button.disabled = False

    def _advance(self, ended: int) -> None:
        # Each change is a message to the page; one for each hundredth will do.
        share = self.progress.max / 100
        if ended >= self.progress.max or ended - self.progress.value >= share:
            self.progress.value = ended

    def _show_real(self, measured: Result, simulated: Result) -> None:
        figure = self._overlay(measured, simulated)
        self.overlaid.value = _image(figure) + _table(simulated, self._measures, measured)
        self.status.value = _said(getattr(figure, "alt_text", "") or "Ran on real processes.")

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = dict(self.panel._repr_mimebundle_(**kwargs) or {})
        if self.figure is not None:
            bundle["image/png"] = b64encode(_png(self.figure)).decode()
            bundle["text/plain"] = getattr(self.figure, "alt_text", "") or repr(self.figure)
        return bundle


def _control(name: str, dial: AnyDial, value: Any) -> Any:
    widgets = _widgets()
    common = {"tooltip": dial.help, "style": _wide_label(), "layout": {"width": "28em"}}
    label = name.replace("_", " ")
    if isinstance(dial, Switch):
        return widgets.Checkbox(value=value, description=label, indent=True, **common)
    if isinstance(dial, Choice):
        return widgets.Dropdown(options=dial.options, value=value, description=label, **common)
    moving = {**common, "value": value, "continuous_update": True}
    with_unit = f"{label} ({dial.unit})" if dial.unit else label
    if _is_wide(dial):
        options = [(_readable(option, dial.unit), option) for option in log_values(dial, value)]
        return widgets.SelectionSlider(options=options, description=label, **moving)
    if isinstance(dial.default, int):
        ends = {"min": int(dial.low), "max": int(dial.high), "step": int(_step(dial))}
        return widgets.IntSlider(description=with_unit, **ends, **moving)
    ends = {"min": dial.low, "max": dial.high, "step": _step(dial)}
    return widgets.FloatSlider(description=with_unit, readout_format=".4g", **ends, **moving)


def _readable(value: float, unit: str) -> str:
    from labkit.figures.wording import duration

    if unit == "s":
        return duration(value)
    return (f"{value:,}" if isinstance(value, int) else f"{value:g}") + (f" {unit}" if unit else "")


def log_values(dial: Dial, *wanted: Any) -> list[Any]:
    """Six values a decade over a dial's range, with its ends, its default and the `wanted` ones among them."""
    whole = isinstance(dial.default, int)
    # A range that begins at zero has no first decade; two below the default is as fine as anybody will turn it.
    lowest = dial.low or (1 if whole else dial.default / 100)
    exponents = range(math.floor(math.log10(lowest)), math.ceil(math.log10(dial.high)) + 1)
    steps = [float(f"{digit * 10.0**exponent:.3g}") for exponent in exponents for digit in A_DECADE]
    kept = [int(step) if whole else step for step in steps if not whole or step.is_integer()]
    ends = [int(end) if whole else float(end) for end in (dial.low, dial.high)]
    inside = [step for step in kept if max(lowest, dial.low) <= step <= dial.high]
    return sorted({*inside, *ends, dial.default, *wanted})


def _is_wide(dial: Dial) -> bool:
    if dial.low > 0:
        return dial.high / dial.low > 10**DECADES_FOR_LOG
    if dial.low < 0 or dial.step is not None:
        return False
    # From zero: wide if the default would be among the very first steps.
    if isinstance(dial.default, int):
        return dial.high > 10**DECADES_FOR_LOG
    return 0 < dial.default < dial.high * FIRST_STEPS / STEPS


def _step(dial: Dial) -> float:
    if dial.step is not None:
        return dial.step
    rough = (dial.high - dial.low) / STEPS
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = max(float(f"{power * digit:.3g}") for digit in (1, 2, 5) if power * digit <= rough * 1.0001 or digit == 1)
    return max(int(step), 1) if isinstance(dial.default, int) else step


def _table(result: Result, names: Sequence[str] | None, measured: Result | None = None) -> str:
    head = ["measure", *(("simulated", "real processes") if measured else ("value",)), "meaning"]
    rows = "".join(
        f'<tr><th scope="row" style="{CELL};font-weight:normal">{escape(name.replace("_", " "))}</th>'
        + "".join(
            f'<td style="{CELL};text-align:right">{_value(source, name)}</td>'
            for source in (result, measured)
            if source
        )
        + f'<td style="{CELL}">{escape(result.measures[name].help)}</td></tr>'
        for name in (result.measures if names is None else names)
    )
    titles = "".join(f'<th scope="col" style="{CELL}">{title}</th>' for title in head)
    verdicts = "".join(_verdicts(source) for source in (result, measured) if source)
    return f'<div role="status"><table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>{verdicts}</div>'


def _value(result: Result, name: str) -> str:
    measure = result.measures[name]
    if math.isnan(measure.value):
        return "no samples"
    return escape(_readable(measure.value, "s") if measure.unit == "s" else str(measure))


def _verdicts(result: Result) -> str:
    text = ""
    for verdict in result.verdicts:
        text += f"<p><b>{escape(f'{verdict.property}: {verdict.status}')}</b> {escape(verdict.explanation)}</p>"
        if verdict.counterexample:
            text += f"<pre>{escape(chr(10).join(map(str, verdict.counterexample)))}</pre>"
    return text


def _image(figure: Figure) -> str:
    alt = escape_attribute(getattr(figure, "alt_text", ""))
    source = b64encode(_png(figure)).decode()
    return f'<img alt="{alt}" src="data:image/png;base64,{source}" style="width:700px;max-width:100%;height:auto">'


def _png(figure: Figure) -> bytes:
    from labkit.figures import Drawing

    if isinstance(figure, Drawing):
        return figure.png()
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def _latencies(result: Result) -> Figure:
    from labkit.figures import latency_distribution

    return latency_distribution(result)


def _measured_over_simulated(measured: Result, simulated: Result) -> Figure:
    from labkit.figures import measured_over_simulated

    return measured_over_simulated(measured, simulated)


def _alert(sentence: str) -> str:
    return f'<p role="alert"><b>{escape(sentence)}</b></p>'


def _said(sentence: str) -> str:
    return f'<p role="status">{escape(sentence)}</p>'


def _wide_label() -> dict[str, str]:
    return {"description_width": "11em"}


def _widgets() -> Any:
    try:
        import ipywidgets
    except ImportError:
        raise MissingComponent("explore needs ipywidgets: install labkit with its extra 'labs'") from None
    return ipywidgets
