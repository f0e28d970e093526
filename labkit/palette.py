"""The colours of figures, in a light and a dark theme: the colour-blind-safe palette of Okabe and Ito.

Plain data, so that the live figures can use it where there is no matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """The colours of a figure. `series` stay apart for the colour-blind, and stand 3:1 or more off the background."""

    name: str
    background: str
    text: str
    muted: str
    grid: str
    shade: str
    hatch: str
    bad: str
    series: tuple[str, ...]


# Okabe and Ito, Color Universal Design (2008), with those darkened that would fade on white.
LIGHT = Theme(
    name="light",
    background="#ffffff",
    text="#1b1f24",
    muted="#59616b",
    grid="#e2e5e9",
    shade="#fbe6d4",
    hatch="#d9a273",
    bad="#b3261e",
    series=("#0072b2", "#d55e00", "#00845f", "#ad5184", "#946300", "#3f474f"),
)
DARK = Theme(
    name="dark",
    background="#17191d",
    text="#e9ebee",
    muted="#a6adb6",
    grid="#33383f",
    shade="#40301f",
    hatch="#8f6a43",
    bad="#ff8a80",
    series=("#56b4e9", "#e69f00", "#2fc299", "#dd93ba", "#f0e442", "#d5dae0"),
)


def css_variables(theme: Theme) -> dict[str, str]:
    """The theme as the CSS variables that live figures name their colours by."""
    named = {"background": theme.background, "text": theme.text, "muted": theme.muted, "grid": theme.grid}
    named |= {"shade": theme.shade, "hatch": theme.hatch, "bad": theme.bad}
    named |= {f"series-{number}": colour for number, colour in enumerate(theme.series, 1)}
    return {f"--labkit-{name}": colour for name, colour in named.items()}
