"""The judge of figures notices what it is there to notice."""

from __future__ import annotations

import pytest

from labkit.figures import Drawing
from tests.figures.legibility import assert_legible


def sheet(*labels: tuple[float, float, str], size: float = 10) -> Drawing:
    """A figure with labels at fractions of its width and height."""
    figure = Drawing(height=2.0)
    figure.alt_text = "Labels."
    for x, y, text in labels:
        figure.text(x, y, text, fontsize=size)
    return figure


def test_good_figure_passes():
    assert_legible(sheet((0.1, 0.5, "one"), (0.5, 0.5, "two")))


@pytest.mark.parametrize(
    ("figure", "complaint"),
    [
        (sheet((0.1, 0.5, "one"), (0.12, 0.52, "two")), "'one' lies upon 'two'"),
        (sheet((0.97, 0.5, "outside")), "'outside' is cut off"),
        (sheet((0.1, 0.5, "tiny"), size=6), "'tiny' is small"),
        (sheet(), "nothing is labelled"),
    ],
)
def test_bad_figure_is_noticed(figure, complaint):
    with pytest.raises(AssertionError, match=complaint):
        assert_legible(figure)


def test_ticks_count():
    figure = Drawing(height=2.0)
    figure.alt_text = "An axis."
    axes = figure.subplots()
    axes.set_xticks([0.5, 0.505], ["first", "second"])
    with pytest.raises(AssertionError, match="lies upon"):
        assert_legible(figure)
