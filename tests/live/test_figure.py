"""The object that a cell shows: its description, its HTML without a script, and its widget where there is one."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import ipywidgets
import pytest
import traitlets

from labkit import BadInput, MissingComponent, Node, run
from labkit.lab import _registry, experiment
from labkit.live import across, latencies, live, predict, widget
from labkit.live.answering import answer, canonical
from labkit.live.figure import MIME
from labkit.live.prediction import MIME as PREDICTION_MIME
from labkit.results import Measure, Verdict


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A built front end, so that figures have widgets."""
    (tmp_path / "widget.js").write_text("export default {render() {}}")
    (tmp_path / "live.css").write_text(".labkit-live {}")
    (tmp_path / "vega.js").write_text("export const vega = 1")
    monkeypatch.setattr(widget, "BUILT", tmp_path)
    pytest.importorskip("anywidget")


@pytest.fixture
def no_bundle(tmp_path, monkeypatch):
    monkeypatch.setattr(widget, "BUILT", tmp_path)


def figure(**changes):
    dials = ["read_quorum", "sloppy", "contact"]
    return live("quorums", dials, **({"measures": ["stale_reads"], "pairs": 20, "read_quorum": 2} | changes))


class Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)

    def handle_data(self, data):
        self.text += data


def test_description_is_the_contracts():
    made = figure(name="staleness", title="Stale reads", real=True, prediction=predict("guess", "How many?", ["a"]))
    described = made.description()
    assert json.loads(canonical(described)) == described
    assert described["name"] == "staleness" and described["title"] == "Stale reads" and described["real"] is True
    assert [control["name"] for control in described["controls"]] == ["read_quorum", "sloppy", "contact"]
    assert [control["kind"] for control in described["controls"]] == ["range", "switch", "choice"]
    assert described["controls"][0]["value"] == 2 and described["fixed"] == {"pairs": 20}
    assert described["prediction"] == {"key": "guess"} and described["nearby"] == ""
    assert described["initial"] == json.loads(canonical(answer(described["initial"]["request"])))
    assert described["initial"]["request"]["parameters"] == {
        "read_quorum": 2, "sloppy": False, "contact": "all", "pairs": 20
    }  # fmt: skip


def test_names_and_titles_default_to_the_experiments():
    described = figure().description()
    assert (described["name"], described["title"], described["seed"]) == ("quorums", "Quorums", 7)
    assert described["picture"] == {"name": "latencies", "options": {}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"measures": ["stale"]}, "measures names 'stale'"),
        ({"pear": 1}, "quorums has no dial 'pear'"),
        ({"pairs": 0}, "pairs is 0"),
        ({"read_quorum": 4}, "read_quorum is 4: it must be at most replicas"),
        ({"name": "Two words"}, "name is 'Two words'"),
        ({"picture": across("pear", "stale_reads")}, "dial is 'pear'"),
        ({"pairs": 1_000_000}, "a live figure computes at most"),
    ],
)
def test_an_authors_mistakes_are_raised_at_once(changes, sentence):
    with pytest.raises(BadInput, match=re.escape(sentence)):
        figure(**changes)
    with pytest.raises(BadInput, match="dials names 'replica': did you mean 'replicas'"):
        live("quorums", ["replica"], pairs=5)


def test_figure_reads_without_a_script(no_bundle):
    made = figure(keys=1, pairs=60, read_quorum=1)
    shown = made._repr_mimebundle_()
    assert set(shown) == {MIME, "text/html", "text/plain"}
    tags = Tags(shown["text/html"])
    assert tags.names[0] == "figure" and {"table", "details", "figcaption", "svg"} <= set(tags.names)
    found = made.answer
    assert found["picture"]["text"] in tags.text and found["caption"] in tags.text
    assert found["measures"][0]["shown"] in tags.text
    assert f"{found['verdicts'][0]['property']}: ILLEGAL" in tags.text
    undrawn = re.sub(r"<svg.*</svg>", "", shown["text/html"], flags=re.DOTALL)
    assert not re.search(r"style=|color|#[0-9a-f]{3}", undrawn)
    assert shown["text/plain"].startswith("Quorums. Read: half of")


def test_dials_are_traits_that_others_observe_and_link(no_bundle):
    made = live("quorums", ["read_quorum", "delay"], latencies(), pairs=20)
    slider = ipywidgets.IntSlider(min=1, max=3)
    ipywidgets.link((made.dials, "read_quorum"), (slider, "value"))
    told = []
    made.dials.observe(lambda change: told.append((change["name"], change["new"])))
    slider.value = 2
    made.dials.seed = 11
    assert told == [("read_quorum", 2), ("seed", 11)] and made.dials is made.dials
    assert made.dials.delay == 0.02
    with pytest.raises(BadInput, match="read_quorum is 0"):
        made.dials.read_quorum = 0
    with pytest.raises(BadInput, match="seed is -1"):
        made.dials.seed = -1
    assert (made.dials.read_quorum, made.dials.seed) == (2, 11)


def test_dials_move_the_widget_and_follow_it():
    class Widget(traitlets.HasTraits):
        values = traitlets.Dict()

    made = live("quorums", ["read_quorum"], latencies(), pairs=20)
    model = Widget(values=widget.standing(made.description()))
    dials = widget.dials_of(made, model, lambda values: None)
    dials.read_quorum = 3
    assert model.values == {"read_quorum": 3, "seed": 7}
    model.values = {"read_quorum": 2, "seed": 8}
    assert (dials.read_quorum, dials.seed) == (2, 8)


def test_a_run_answers_plain_ipywidgets():
    seen = []
    moved = ipywidgets.interactive(
        lambda read_quorum: seen.append(run("quorums", pairs=20, read_quorum=read_quorum)["reads"]),
        read_quorum=(1, 3),
    )
    moved.update()
    moved.children[0].value = 3
    assert {*seen} == {20.0} and len(seen) > 1


HOSTILE = """</script><img src=x onerror="alert('1')">&amp;"""


class Idle(Node):
    """Has nothing to do."""

    async def run(self):
        pass


@pytest.fixture
def hostile():
    def build(lab):
        lab.client("idle", Idle)

    build.__name__ = "hostile"
    made = experiment(title=HOSTILE, guide="")(build)
    made.measure(lambda result: [Measure("odd", 1.0, HOSTILE, HOSTILE)])
    made.verify(lambda result: [Verdict(HOSTILE, "OK", HOSTILE)])
    yield made
    del _registry["hostile"]


def test_texts_are_escaped(hostile, no_bundle):
    shown = live("hostile", [], picture=latencies())._repr_mimebundle_()
    assert "<script" not in shown["text/html"] and "<img" not in shown["text/html"]
    assert "In the book's pages and in JupyterLab" in Tags(shown["text/html"]).text
    assert Tags(shown["text/html"]).text.count(HOSTILE) >= 3
    guess = predict("g", HOSTILE, [HOSTILE])
    for html in (guess._repr_mimebundle_()["text/html"], guess.against({HOSTILE: 3}).html()):
        assert "<script" not in html and "<img" not in html and HOSTILE in Tags(html).text


def test_a_control_knows_what_makes_it_idle():
    downtime, shown = live("transactions", ["downtime", "crash"]), live("transactions", ["downtime"], crash="payment")
    told = "no effect while crash is none"
    (asked,) = downtime.description()["controls"][0]["needs"]
    assert asked == {"name": "crash", "values": ["none"], "inside": False, "told": told}
    assert shown.description()["controls"][0]["needs"] == []
    never = live("transactions", ["downtime"])
    assert never.description()["controls"][0]["needs"] == [{"name": "", "told": told}]


def test_a_figure_has_one_widget(bundle):
    made = figure()
    views = [made._repr_mimebundle_()[widget.VIEW]["model_id"] for _ in range(2)]
    assert views[0] == views[1]
    assert made._widget.description == made.description()
    assert made._widget._esm.startswith("export default")


def test_the_widget_answers(bundle, monkeypatch):
    made = figure()
    made._repr_mimebundle_()
    sent = []
    monkeypatch.setattr(made._widget, "send", lambda content, buffers=None: sent.append(content))
    made._widget._handle_custom_msg({"id": 1, "kind": "answer", "request": made.request()}, [])
    assert sent == [{"id": 1, "answer": canonical(made.answer)}]


def replies(content, runner=run):
    sent = []
    widget.attend(content, lambda reply, buffers=None: sent.append((reply, buffers)), runner)
    return sent


def test_messages_of_every_kind(bundle):
    ((refused, _),) = replies({"id": 2, "kind": "answer", "request": {"experiment": "pear"}})
    assert "there is no experiment 'pear'" in json.loads(refused["answer"])["error"]
    assert replies({"id": 3, "kind": "vega"}) == [({"id": 3, "kind": "vega"}, [b"export const vega = 1"])]
    ((unknown, _),) = replies({"id": 4, "kind": "pear"})
    assert unknown == {"id": 4, "error": "the kernel does not know messages of kind 'pear'"}


def on_ray(behave):
    def runner(chosen, *, runtime="simulated", progress=None, observe=None, **asked):
        if runtime == "ray":
            behave(progress, lambda: observe("ready", {}))
            asked["seed"] += 1
        return run(chosen, **asked)

    return runner


def test_measuring_tells_progress_and_answers():
    def behave(progress, begin):
        begin()
        for ended in range(41):
            progress(ended)

    asked = {"id": 5, "kind": "measure", "request": figure().request()}
    (begun, _), *progress, (last, _) = replies(asked, on_ray(behave))
    assert begun["kind"] == "begun" and begun["seconds"] > 0
    assert progress[0][0]["kind"] == "progress" and progress[-1][0] == {
        "id": 5, "kind": "progress", "done": 40, "total": 40
    }  # fmt: skip
    assert "percentage points apart" in json.loads(last["answer"])["picture"]["text"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MissingComponent("Ray is not installed"), "Ray is not installed"),
        (KeyboardInterrupt(), "Stopped by the kernel's stop button; nothing of the run is left behind."),
    ],
)
def test_what_keeps_real_processes_from_running_is_said(error, sentence):
    def behave(_progress, _begin):
        raise error

    assert replies({"id": 6, "kind": "measure", "request": figure().request()}, on_ray(behave)) == [
        ({"id": 6, "error": sentence}, None)
    ]


def test_a_defect_is_told_and_not_swallowed():
    sent = []

    def behave(_progress, _begin):
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError):
        asked = {"id": 7, "kind": "measure", "request": figure().request()}
        widget.attend(asked, lambda reply, buffers=None: sent.append(reply), on_ray(behave))
    assert sent == [{"id": 7, "error": "ZeroDivisionError: division by zero"}]


GUESSES = {"R = 1": None, "R = 2": 3}


def test_predictions_describe_themselves(no_bundle):
    guess = predict("staleness", "How many?", GUESSES, unit="%", y="stale reads")
    described = guess._repr_mimebundle_()[PREDICTION_MIME]
    assert described == {
        "key": "staleness", "question": "How many?", "kind": "numbers", "unit": "%", "x_title": "",
        "points": [{"label": "R = 1", "x": None}, {"label": "R = 2", "x": None}], "y_title": "stale reads",
        "low": 0, "high": 100, "step": 1.0, "measured": None, "reveal": False,
    }  # fmt: skip
    assert guess.values == {"R = 1": None, "R = 2": 3.0}
    assert "How many?" in guess.html() and "R = 1" in guess.html()


def test_a_curve_has_numbers_in_order():
    described = predict("c", "How?", [0.2, 0, 0.05], x="offset (s)", high=1.0).description()
    assert described["kind"] == "curve"
    assert described["points"] == [{"label": f"{x:g}", "x": x} for x in (0, 0.05, 0.2)]


def test_a_reveal_reads_without_a_script(no_bundle):
    revealed = predict("staleness", "How many?", GUESSES, unit="%").against({"R = 1": 25.33, "R = 2": 2})
    shown = revealed._repr_mimebundle_()
    assert shown[PREDICTION_MIME]["measured"] == {"R = 1": 25.33, "R = 2": 2.0} and shown[PREDICTION_MIME]["reveal"]
    assert "25.3%" in shown["text/html"] and "3%" in shown["text/html"]
    unknown = predict("staleness", "How many?", ["a"]).against({"a": 1})
    assert "predicted" not in unknown.html()
    assert predict("c", "?", [1, 2]).against({1: 0.5, 2.0: 1}).measured == {"1": 0.5, "2": 1.0}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"over": []}, "over has 0 points"),
        ({"over": ["a", "a"]}, "over has 2 points"),
        ({"over": ["a", 1]}, "it must be labels, or numbers"),
        ({"over": {"a": 200}}, "a is 200: it must be from 0 to 100"),
        ({"over": ["a"], "low": 5, "high": 5}, "low is 5"),
        ({"over": ["a"], "key": ""}, "key is ''"),
    ],
)
def test_predictions_that_no_page_could_draw(arguments, sentence):
    with pytest.raises(BadInput, match=re.escape(sentence)):
        predict(**({"key": "k", "question": "q"} | arguments))


@pytest.mark.parametrize("measured", [{}, {"a": 1, "b": 2}, {"a": float("nan")}, {"a": "much"}])
def test_reveals_need_a_number_for_each_point(measured):
    with pytest.raises(BadInput):
        predict("k", "q", ["a"]).against(measured)


def test_page_and_kernel_share_what_was_guessed(bundle):
    guess = predict("staleness", "How many?", GUESSES)
    guess._repr_mimebundle_()
    guess._widget.values = {"R = 1": 40}
    assert guess.values == {"R = 1": 40, "R = 2": 3.0}
    revealed = guess.against({"R = 1": 25, "R = 2": 2})
    revealed._repr_mimebundle_()
    assert revealed._widget.values == guess.values and "40" in revealed.html()
