"""The themes: contrast, and series that stay apart without their colours."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import pytest

from labkit.figures import DARK, LIGHT, latency_distribution, style, theme, use_style


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, as WCAG 2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=lambda colours: colours.name)
def test_text_and_lines_stand_off_the_background(colours):
    assert contrast(colours.text, colours.background) >= 7
    assert contrast(colours.text, colours.shade) >= 7  # words stand on shaded outages
    assert contrast(colours.muted, colours.background) >= 4.5
    assert contrast(colours.bad, colours.background) >= 4.5
    for colour in colours.series:
        assert contrast(colour, colours.background) >= 3


def test_series_differ_in_more_than_colour():
    looks = [style.series(number) for number in range(6)]
    assert len({str(look["linestyle"]) for look in looks}) == 6
    assert len({look["marker"] for look in looks}) == 6
    assert style.series(6) == style.series(0)


def test_dark_style_lasts_as_long_as_its_with_statement(quorum_run):
    with use_style(dark=True):
        assert theme() is DARK
        dark = latency_distribution(quorum_run)
    assert theme() is LIGHT
    assert matplotlib.colors.to_hex(dark.get_facecolor()) == DARK.background
    assert matplotlib.colors.to_hex(latency_distribution(quorum_run).get_facecolor()) == LIGHT.background


def test_a_style_without_with_stays(quorum_run):
    kept = use_style(dark=True)
    try:
        assert theme() is DARK
    finally:
        kept.close()
    assert theme() is LIGHT


def test_drawing_leaves_matplotlibs_settings_alone(quorum_run):
    before = dict(matplotlib.rcParams)
    latency_distribution(quorum_run).png()
    assert dict(matplotlib.rcParams) == before


def test_a_drawing_shows_itself_once_and_in_words(quorum_run):
    data, metadata = latency_distribution(quorum_run)._repr_mimebundle_()
    assert data["text/plain"].startswith("Cumulative distribution")
    assert data["image/png"].startswith("iVBORw0KGgo")  # the signature of PNG, in base 64
    assert metadata["image/png"]["width"] == 700


def test_labkit_needs_no_matplotlib_until_it_draws():
    program = "import sys, labkit, labkit.live; print({'matplotlib', 'ipywidgets', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
