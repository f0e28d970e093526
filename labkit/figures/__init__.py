"""Figures of results, each with a description in words; and a protocol's code with notes beside its lines."""

from labkit.figures.annotation import Annotated, annotated
from labkit.figures.distributions import latency_distribution, measured_over_simulated
from labkit.figures.drawing import Drawing
from labkit.figures.progress import succeeded_over_time
from labkit.figures.space_time import space_time
from labkit.figures.style import DARK, LIGHT, Theme, theme, use_style
from labkit.figures.sweeps import measure_against
from labkit.figures.timeline import time_series

__all__ = [
    "DARK", "LIGHT", "Annotated", "Drawing", "Theme", "annotated", "latency_distribution", "measure_against",
    "measured_over_simulated", "space_time", "succeeded_over_time", "theme", "time_series", "use_style",
]  # fmt: skip
