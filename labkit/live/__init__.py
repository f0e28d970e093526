"""Live figures: an experiment's dials beside a picture of its run, in JupyterLab and in the built page.

Part of the simulated path: it runs where there is nothing but the standard library and SimPy, as in a browser.
"""

from labkit.live.across import across
from labkit.live.figure import LiveFigure, live
from labkit.live.latencies import latencies
from labkit.live.over_time import over_time
from labkit.live.prediction import Prediction, predict
from labkit.live.space_time import space_time
from labkit.live.under_way import under_way

__all__ = ["LiveFigure", "Prediction", "across", "latencies", "live", "over_time", "predict", "space_time", "under_way"]
