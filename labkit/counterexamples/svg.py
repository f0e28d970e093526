"""A counterexample as SVG: it takes the width that it is given, and its colours from the page around it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from labkit.counterexamples.layout import BADGE, BAR, NARROWEST, Bar, Sheet, lay_out, wrapped
from labkit.counterexamples.steps import Step, lanes_of, shown, steps_of
from labkit.naming import Names
from labkit.palette import LIGHT, Theme
from labkit.results import Verdict
from labkit.wording import count, sentence

WIDEST = 680
LINE = 16
AXIS = 40
TICKS_APART = 52
BOLD = 0.9
"""A line of bold letters holds so much less."""

FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:12px"


class _Ink:
    """Colours: variables of the page with a fallback that reads on light and dark, or those of one theme."""

    def __init__(self, theme: Theme | None):
        if theme is None:
            self.text, self.muted = "currentColor", "var(--labkit-muted, currentColor)"
            self.paper = "var(--labkit-background, var(--jp-layout-color0, Canvas))"
            self.bad = "var(--labkit-bad, #d9443b)"
            self.operation = "var(--labkit-series-4, #b95f91)"
            self.belief = "var(--labkit-series-3, #00986d)"
        else:
            self.text, self.muted, self.paper, self.bad = theme.text, theme.muted, theme.background, theme.bad
            self.operation, self.belief = theme.series[3], theme.series[2]


def draw(verdict: Verdict, names: Names | None = None, width: int | None = None) -> str:
    """The counterexample as SVG; empty if the verdict has none.

    Without a `width` it belongs into a page: as wide as the room there, from 326 to 680 pixels, in the page's colours.
    With one it is a file of its own, of that width, in the light theme. `names` are those of a longer history.
    """
    steps, left_out = shown(steps_of(verdict, names))
    if not steps:
        return ""
    ink, sheet = _Ink(LIGHT if width else None), lay_out(steps)
    parts = [_lanes(sheet, ink), *(_bar(bar, sheet, ink) for bar in sheet.bars), _axis(sheet, ink)]
    below, height = _list(steps, left_out, sheet.height + AXIS, ink)
    name = f"Counterexample to “{verdict.property}”"
    alone = f'<rect width="100%" height="100%" fill="{ink.paper}"/>' if width else ""
    size = f'width="{width}"' if width else 'width="100%"'
    fit = "" if width else f";max-width:{WIDEST}px;min-width:{NARROWEST}px;display:block;overflow:visible"
    described = f"<title>{escape(name)}</title><desc>{escape(in_words(verdict, names))}</desc>"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="labkit-counterexample" role="img" {size} height="{height:g}"'
    )
    return f'{head} style="{FONT}{fit}" fill="{ink.text}">{described}{alone}{"".join(parts)}{below}</svg>'


def drawn(verdict: Verdict, names: Names | None = None) -> str:
    """The drawing in a box that scrolls where a page is narrower than it."""
    svg = draw(verdict, names)
    # What scrolls must be reached by the keyboard, and then needs a name.
    named = "tabindex='0' role='group' aria-label='Counterexample'"
    return f"<div class='labkit-story' {named} style='overflow-x:auto'>{svg}</div>" if svg else ""


def in_words(verdict: Verdict, names: Names | None = None) -> str:
    """The same in sentences, for readers who cannot see it."""
    steps, left_out = shown(steps_of(verdict, names))
    lanes = lanes_of(steps)
    told = [sentence(f"{step.place}: {_headline(step, lanes)}; {step.role or 'a part of it'}") for step in steps]
    blamed = [f"Step {step.place} is what must not be." for step in steps if step.offending]
    more = [sentence(f"{count(left_out, 'further step')} left out")] if left_out else []
    return " ".join([*told, *blamed, *more])


def _lanes(sheet: Sheet, ink: _Ink) -> str:
    return "".join(
        f'<line x1="0" x2="100%" y1="{y + 5:g}" y2="{y + 5:g}" stroke="{ink.muted}" stroke-opacity=".4"/>'
        f'<text x="0" y="{y:g}" font-weight="600">{escape(name)}</text>'
        for name, y in sheet.lanes
    )


def _bar(bar: Bar, sheet: Sheet, ink: _Ink) -> str:
    step = bar.step
    marks = _instant(bar, ink) if step.is_instant else _body(bar, ink)
    shift = f'<g transform="translate({-bar.shift:.1f})">'
    words = f'{_badge(step, 8, ink)}<text x="{BADGE}" y="4">{escape(step.label)}</text>'
    label = f'<svg x="{_percent(bar.left)}" y="{bar.top - 12:g}" overflow="visible">{shift}{words}</g></svg>'
    return f"<g><title>{escape(step.told)}</title>{marks}{label}</g>"


def _body(bar: Bar, ink: _Ink) -> str:
    """Solid if it succeeded, hollow if nobody knows, crossed out if it was refused; an arrow if no response came."""
    step = bar.step
    colour = ink.operation if step.outcome else ink.belief
    is_sure = step.outcome in ("ok", "")
    wide = _percent(bar.right - bar.left)
    size = f'x="{_percent(bar.left)}" width="{wide}" y="{bar.top:g}" height="{BAR}"'
    dashes = "" if is_sure or step.outcome == "fail" else ' stroke-dasharray="4 2.5"'
    parts = [f'<rect {size} fill="{colour if is_sure else ink.paper}" stroke="{colour}" stroke-width="1.5"{dashes}/>']
    # A bar of less than a pixel still has its beginning.
    parts.append(_line((bar.left, bar.top - 1), (bar.left, bar.top + BAR + 1), colour, 2.5))
    if step.outcome == "fail":
        parts.append(_line((bar.left, bar.top + BAR), (bar.right, bar.top), colour, 1.5))
    if step.end_us is None:
        middle = f'x="100%" y="{bar.top + BAR / 2:g}"'
        parts.append(f'<svg {middle} overflow="visible"><path d="M-9 -7L1 0L-9 7Z" fill="{colour}"/></svg>')
    if step.offending:
        outline = f'x="{_percent(bar.left)}" width="{wide}" y="{bar.top - 3:g}" height="{BAR + 6}"'
        parts.append(f'<rect {outline} fill="none" stroke="{ink.bad}" stroke-width="2"/>')
    return "".join(parts)


def _line(begin: tuple[float, float], end: tuple[float, float], colour: str, thick: float) -> str:
    """A line between two places, each a share across and pixels down."""
    across = f'x1="{_percent(begin[0])}" x2="{_percent(end[0])}"'
    return f'<line {across} y1="{begin[1]:g}" y2="{end[1]:g}" stroke="{colour}" stroke-width="{thick}"/>'


def _instant(bar: Bar, ink: _Ink) -> str:
    colour = ink.bad if bar.step.offending else ink.belief
    mark = '<path d="M0 -7L7 0L0 7L-7 0Z" ' if bar.step.offending else '<circle r="5" '
    place = f'x="{_percent(bar.left)}" y="{bar.top + BAR / 2:g}"'
    return f'<svg {place} overflow="visible">{mark}fill="{colour}"/></svg>'


def _badge(step: Step, x: float, ink: _Ink) -> str:
    """The step's number: in a ring, or in a filled diamond if it is what should not have been."""
    number = f'text-anchor="middle" style="font-size:11px;font-weight:700">{step.place}</text>'
    if step.offending:
        shape = f'<path d="M{x} -9.5L{x + 9.5} 0L{x} 9.5L{x - 9.5} 0Z" fill="{ink.bad}"/>'
        return f'{shape}<text x="{x}" y="4" fill="{ink.paper}" {number}'
    radius = 7.5 if step.place < 10 else 9
    return f'<circle cx="{x}" r="{radius}" fill="none" stroke="{ink.text}"/><text x="{x}" y="4" {number}'


def _axis(sheet: Sheet, ink: _Ink) -> str:
    y = sheet.height
    parts = [f'<line x1="0" x2="100%" y1="{y:g}" y2="{y:g}" stroke="{ink.muted}"/>']
    for place, label in sheet.axis.ticks(NARROWEST, TICKS_APART):
        anchor = "start" if place < 0.05 else "end" if place > 0.95 else "middle"
        x = _percent(place)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{y:g}" y2="{y + 5:g}" stroke="{ink.muted}"/>')
        parts.append(f'<text x="{x}" y="{y + 18:g}" text-anchor="{anchor}" fill="{ink.muted}">{label}</text>')
    for place in sheet.axis.breaks:
        cut = f'<path d="M-5 6L-1 -6M1 6L5 -6" stroke="{ink.text}" stroke-width="1.5"/>'
        gap = f'<rect x="-3" y="-2" width="6" height="4" fill="{ink.paper}"/>'
        parts.append(f'<svg x="{_percent(place)}" y="{y:g}" overflow="visible">{gap}{cut}</svg>')
    title = f"time in {sheet.axis.unit}" + (", cut short at //" if sheet.axis.breaks else "")
    parts.append(f'<text x="0" y="{y + 34:g}" fill="{ink.muted}">{title}</text>')
    return "".join(parts)


def _list(steps: Sequence[Step], left_out: int, top: float, ink: _Ink) -> tuple[str, float]:
    """What part each step played, below the drawing, and where that ends."""
    lanes, parts, y = lanes_of(steps), [], top + 14
    for step in steps:
        parts.append(f'<svg y="{y - 4:g}" overflow="visible">{_badge(step, 9.5, ink)}</svg>')
        lines = [(line, ' font-weight="600"') for line in wrapped(_headline(step, lanes), BOLD * (NARROWEST - 26))]
        colour = f' fill="{ink.bad}"' if step.offending else ""
        lines += [(line, colour) for line in wrapped(step.role, NARROWEST - 26) if line]
        for line, look in lines:
            parts.append(f'<text x="26" y="{y:g}"{look}>{escape(line)}</text>')
            y += LINE
        y += 5
    if left_out:
        parts.append(f'<text x="26" y="{y:g}">and {count(left_out, "further step")}</text>')
        y += LINE
    return "".join(parts), y


def _headline(step: Step, lanes: dict[str, str]) -> str:
    outcome = {"fail": ", refused", "unknown": ", outcome unknown"}.get(step.outcome, "")
    label = step.label.removesuffix(" → refused")
    return f"{lanes[step.process]}: {label}{outcome}, {step.when}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
