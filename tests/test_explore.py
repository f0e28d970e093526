"""The panel: sliders that run the simulation, sentences for what is not allowed, and the button for real processes."""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from typing import Any

import ipywidgets
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from nbclient import NotebookClient

from labkit import run
from labkit.dials import Choice, Dial, Switch
from labkit.errors import BadInput, MissingComponent
from labkit.explore import _control, explore, log_values
from labkit.figures import latency_distribution, measured_over_simulated
from labkit.figures.wording import duration
from labkit.lab import catalogue

PNG = base64.b64decode("iVBORw0KGgo=")


class Runner:
    """Runs simulations, and stands in for real processes: it does as it is told there."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.on_real: Any = None

    def __call__(self, experiment: Any, *, runtime: str = "simulated", progress: Any = None, **asked: Any) -> Any:
        self.asked.append({"runtime": runtime, **asked})
        if runtime == "ray":
            self.on_real(progress)
            asked["seed"] += 1  # another machine, another history
        result = run(experiment, **asked)
        result.runtime = runtime
        return result


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def panel(runner):
    return explore("quorums", ["replicas", "read_quorum", "delay"], runner=runner, pairs=50, clients=1)


def alt_of(html: str) -> str:
    """The alternative text of a picture in a widget."""
    return re.search(r'<img alt="([^"]*)"', html)[1]


def test_panel_opens_with_a_run_drawn(panel, runner):
    assert runner.asked == [
        {
            "runtime": "simulated",
            "seed": 7,
            "pairs": 50,
            "clients": 1,
            "replicas": 3,
            "read_quorum": 1,
            "delay": panel.result.parameters["delay"],
        }
    ]
    assert alt_of(panel.picture.value) == latency_distribution(panel.result).alt_text
    assert duration(panel.result["read_p50"]) in panel.table.value
    assert 'src="data:image/png;base64,iVBORw0KGgo' in panel.picture.value


def test_moving_a_slider_runs_draws_and_tells_anew(panel, runner):
    before = panel.picture.value, panel.table.value
    panel.controls["read_quorum"].value = 3
    assert runner.asked[-1]["read_quorum"] == 3
    assert panel.result.parameters["read_quorum"] == 3
    assert panel.picture.value != before[0] and panel.table.value != before[1]
    assert f">{duration(panel.result['read_p99'])}</td>" in panel.table.value


def test_another_seed_is_another_run(panel, runner):
    panel.seed.value = 8
    assert runner.asked[-1]["seed"] == 8 and panel.result.seed == 8


def test_combinations_that_do_not_go_together_get_a_sentence(panel, runner):
    panel.controls["replicas"].value = 2
    panel.controls["read_quorum"].value = 3
    assert 'role="alert"' in panel.message.value
    assert "read_quorum is 3: it must be at most replicas, which is 2" in panel.message.value
    assert panel.picture.value == panel.table.value == ""
    assert panel.button.disabled and panel.result is None
    panel.controls["replicas"].value = 3
    assert panel.message.value == "" and "<img" in panel.picture.value and not panel.button.disabled


def test_stopping_a_simulation_leaves_a_working_panel(panel, monkeypatch):
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(panel, "_run", stopped)
    panel.seed.value = 8
    assert "Stopped by the kernel's stop button" in panel.message.value
    monkeypatch.undo()
    panel.seed.value = 9
    assert panel.message.value == "" and panel.result.seed == 9


def test_measures_and_verdicts_are_chosen_and_explained(runner):
    panel = explore("quorums", [], measures=["stale_reads"], runner=runner, pairs=50, keys=1, real=False)
    assert "stale reads" in panel.table.value and "read p50" not in panel.table.value
    assert "share of reads that missed an acknowledged write" in panel.table.value
    verdict = panel.result.verdicts[0]
    assert f"<b>{verdict.property}: {verdict.status}</b>" in panel.table.value
    assert panel.button not in panel.panel.children


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"dials": ["replica"]}, "dials names 'replica': did you mean 'replicas'?"),
        (
            {"dials": [], "measures": ["stale_read"]},
            "measures names 'stale_read': did you mean 'stale_reads'?",
        ),
        ({"dials": [], "pairs": 0}, "pairs is 0: it must be a whole number from 1"),
        ({"dials": [], "pear": 1}, "quorums has no dial 'pear'"),
    ],
)
def test_an_authors_mistakes_are_raised_at_once(arguments, sentence):
    with pytest.raises(BadInput, match=re.escape(sentence)):
        explore("quorums", **({"pairs": 20} | arguments))


def test_button_runs_on_real_processes_with_progress(panel, runner):
    seen = []

    def on_real(progress: Any) -> None:
        for ended in (0, 25, 50, 100):
            progress(ended)
            seen.append(
                (
                    panel.progress.value,
                    panel.progress.max,
                    panel.button.disabled,
                    panel.progress.layout.display,
                )
            )

    runner.on_real = on_real
    panel.button.click()
    assert seen == [(ended, 100, True, "") for ended in (0, 25, 50, 100)]
    assert not panel.button.disabled and panel.progress.layout.display == "none"
    assert runner.asked[-1] == runner.asked[0] | {"runtime": "ray"}
    expected = measured_over_simulated(panel.measured, panel.result)
    assert alt_of(panel.overlaid.value) == expected.alt_text.replace("'", "&#x27;")
    assert "percentage points apart" in panel.status.value
    for result in (panel.result, panel.measured):
        assert f">{duration(result['read_p50'])}</td>" in panel.overlaid.value


def test_an_overlay_of_ones_own(runner):
    runner.on_real = lambda progress: None
    drawn = []

    def overlay(measured: Any, simulated: Any) -> Figure:
        drawn.append((measured.runtime, simulated.runtime))
        return Figure()

    panel = explore("quorums", [], runner=runner, overlay=overlay, pairs=20)
    panel.button.click()
    assert drawn == [("ray", "simulated")]
    assert "Ran on real processes." in panel.status.value


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MissingComponent("Ray is not installed: run make lab"), "Ray is not installed: run make lab"),
        (KeyboardInterrupt(), "Stopped by the kernel's stop button"),
    ],
)
def test_what_keeps_real_processes_from_running_is_said(panel, runner, error, sentence):
    def on_real(_progress: Any) -> None:
        raise error

    runner.on_real = on_real
    panel.button.click()
    assert sentence in panel.status.value
    assert panel.overlaid.value == "" and panel.measured is None
    assert not panel.button.disabled and panel.progress.layout.display == "none"


def test_a_defect_is_shown_and_not_swallowed(panel, runner):
    def on_real(_progress: Any) -> None:
        raise ZeroDivisionError("division by zero")

    runner.on_real = on_real
    with pytest.raises(ZeroDivisionError):
        panel._run_real(panel.button)
    assert "ZeroDivisionError: division by zero" in panel.status.value
    assert not panel.button.disabled


def test_what_was_measured_goes_when_the_settings_do(panel, runner):
    runner.on_real = lambda progress: None
    panel.button.click()
    assert panel.measured is not None
    panel.controls["read_quorum"].value = 2
    assert panel.measured is None and panel.overlaid.value == panel.status.value == ""


def test_every_dial_of_every_experiment_has_a_control():
    for experiment in catalogue().values():
        for name, dial in experiment.dials.items():
            control = _control(name, dial, dial.default)
            assert control.value == dial.default
            assert control.tooltip == dial.help
            assert control.description.startswith(name.replace("_", " "))


@pytest.mark.parametrize(
    ("dial", "kind"),
    [
        (Dial(3, 1, 9), ipywidgets.IntSlider),
        (Dial(0.5, 0.0, 1.0), ipywidgets.FloatSlider),
        (Dial(0.5, -1.0, 1.0), ipywidgets.FloatSlider),
        (Dial(10, 1, 1_000_000), ipywidgets.SelectionSlider),
        (Dial(0, 0, 100_000), ipywidgets.SelectionSlider),
        (Dial(0.5, 0.001, 10.0), ipywidgets.SelectionSlider),
        (Dial(0.005, 0.0, 1.0, "s"), ipywidgets.SelectionSlider),
        (Dial(0.005, 0.0, 1.0, "s", step=0.001), ipywidgets.FloatSlider),
        (Choice("a", ("a", "b")), ipywidgets.Dropdown),
        (Switch(True), ipywidgets.Checkbox),
    ],
)
def test_kinds_of_controls(dial, kind):
    assert type(_control("a_dial", dial, dial.default)) is kind


def test_a_wide_slider_says_its_values_with_their_unit():
    control = _control("delay", Dial(0.005, 0.0, 1.0, "s"), 0.005)
    labels = [label for label, _ in control.options]
    assert labels[0] == "0 s" and "5 ms" in labels and labels[-1] == "1 s"


@given(st.integers(0, 3), st.integers(4, 6), st.booleans(), st.data())
def test_wide_sliders_offer_only_what_the_dial_accepts(low, high, whole, data):
    ends = (10**low, 10**high) if whole else (10.0**-high, 10.0**-low)
    default = data.draw(st.integers(*ends) if whole else st.floats(*ends))
    dial = Dial(default, *ends)
    values = log_values(dial, default)
    assert values == sorted(set(values)) and default in values
    assert [dial.accept(value) for value in values] == values
    assert (values[0], values[-1]) == ends
    # Ends and default apart, the steps are even: none more than doubles the value, within rounding.
    assert all(later <= 2.01 * earlier for earlier, later in pairwise(values))


def test_panel_shows_itself_with_and_without_a_kernel(panel):
    bundle = panel._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.panel.model_id
    assert base64.b64decode(bundle["image/png"]).startswith(PNG)
    assert bundle["text/plain"] == latency_distribution(panel.result).alt_text


def test_notebook_keeps_the_picture_beside_the_widget(tmp_path):
    code = "from labkit.explore import explore\nexplore('quorums', ['read_quorum'], pairs=20)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    (output,) = notebook.cells[0].outputs
    assert output.data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert base64.b64decode(output.data["image/png"]).startswith(PNG)
    assert output.data["text/plain"].startswith("Cumulative distribution of read latency")
