"""A verdict's counterexample as steps on a time line: one drawing for notebooks, pages and terminals."""

from labkit.counterexamples.steps import Step, steps_of
from labkit.counterexamples.svg import draw, drawn
from labkit.counterexamples.text import as_text

__all__ = ["Step", "as_text", "draw", "drawn", "steps_of"]
