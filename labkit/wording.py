"""How figures put names, times and parameters into words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labkit.statistics import ks_by_chance, widest_gap

if TYPE_CHECKING:
    from labkit.results import Result

RUNTIMES = {"simulated": "simulated", "ray": "real processes"}


def words(name: str) -> str:
    """A name from code as a reader would write it."""
    return name.replace("_", " ")


def duration(seconds: float) -> str:
    """A time with three digits and the unit that suits it: ``4.12 ms``."""
    if not math.isfinite(seconds):
        return "no time" if math.isnan(seconds) else "for ever"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}" if abs(seconds) < 1000 else f"{seconds:.0f} s"
    return "0 s" if seconds == 0 else f"{seconds / 1e-6:.3g} µs"


def count(number: int, noun: str) -> str:
    """A number and its noun, in the plural unless it is one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def ordinal(number: int) -> str:
    """A place in an order: ``1st``, ``2nd``, ``3rd``, ``4th``, …"""
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def listed(entries: Sequence[str]) -> str:
    """Entries as a sentence lists them: ``a, b and c``."""
    return " and ".join([", ".join(entries[:-1]), entries[-1]] if len(entries) > 1 else entries)


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def setting(name: str, value: Any) -> str:
    """One parameter's value in words."""
    if isinstance(value, bool):
        return words(name) if value else f"not {words(name)}"
    return f"{words(name)} {value:g}" if isinstance(value, float) else f"{words(name)} {value}"


def provenance(results: Iterable[Result]) -> str:
    """Which runs a figure shows: experiment, runtime, seed, and every parameter that is not at its default."""
    known = list(results)
    experiments = listed(_once(words(result.experiment) for result in known))
    runtimes = listed(_once(RUNTIMES.get(result.runtime, result.runtime) for result in known))
    seeds = [str(seed) for seed in sorted({result.seed for result in known})]
    parts = [f"{experiments}, {runtimes}", f"{'seed' if len(seeds) == 1 else 'seeds'} {listed(seeds)}"]
    return sentence("; ".join(parts + _common_changes(known)))


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def differences(results: Sequence[Result]) -> list[str]:
    """For each of several results, the parameters by which it differs from the others, in words."""
    everywhere = [{"runtime": result.runtime, "seed": result.seed, **result.parameters} for result in results]
    telling = [name for name in everywhere[0] if len({str(entry.get(name)) for entry in everywhere}) > 1]
    return [
        ", ".join(setting(name, entry[name]) for name in telling if name in entry) or f"run {number}"
        for number, entry in enumerate(everywhere, 1)
    ]


def changes(result: Result) -> Mapping[str, str]:
    """The parameters that are not at their defaults, each with its value and unit as text."""
    # The result knows them, since its experiment may not be imported here: figures run nothing.
    return getattr(result, "changed", {})


def _common_changes(results: Sequence[Result]) -> list[str]:
    shared = dict(changes(results[0]))
    for result in results[1:]:
        mine = changes(result)
        shared = {name: text for name, text in shared.items() if mine.get(name) == text}
    return [", ".join(f"{words(name)} {text}" for name, text in shared.items())] if shared else []


def _once(entries: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(entries))


def agreement(function: str, measured: Sequence[float], simulated: Sequence[float]) -> str:
    """How far two samples of latencies are apart, by Kolmogorov and Smirnov's distance, in a sentence."""
    gap, place = widest_gap(measured, simulated)
    if math.isnan(gap):
        return f"{function.capitalize()}s cannot be compared: one of the runs has none that succeeded."
    chance = ks_by_chance(len(measured), len(simulated))
    return (
        f"{function.capitalize()}s: at most {100 * gap:.1f} percentage points apart, at {duration(place)} "
        f"(by chance alone up to {100 * chance:.1f})."
    )
