"""What befell the processes of a run outside its fault plan, and how it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(eq=False)
class Process:
    """One incarnation of a node, as the driver knows it; Ray's broker knows it by `number`."""

    name: str
    incarnation: int
    number: int = 0
    has_ended: bool = False
    greeted: asyncio.Event = field(default_factory=asyncio.Event)
    hello: dict[str, Any] = field(default_factory=dict)
    offset_ns: int = 0
    uncertainty_ns: int = 0
    state: str = "starting"  # then waiting, running, paused, dead or finished

    @property
    def wire_name(self) -> str:
        """What it is called on the wire, where a spare may wait while the incarnation before it still runs."""
        return f"{self.name}#{self.incarnation}"


class Places(Protocol):
    """Knows which Ray nodes are gone."""

    def gone(self, suspects: set[str]) -> set[str]:
        """Those of `suspects` that are."""


class Incidents:
    """Collects, during a run, what was no part of its plan; times are seconds since its start."""

    def __init__(self) -> None:
        self.ray_is_gone = False
        self._end_of_ray = ""
        self._deaths: dict[Process, float] = {}
        self._crowds: list[str] = []

    def death(self, process: Process, at: float) -> None:
        """A process has died without an order to."""
        self._deaths[process] = at

    def end_of_ray(self, how: str, at: float) -> None:
        """Ray has died; the run ends with that."""
        if not self.ray_is_gone:
            self.ray_is_gone = True
            self._end_of_ray = f"Ray died at {at:.3f} s: {how}, outside the fault plan; the run ended there"

    def crowd(self, name: str, turned_away: int, retried: int) -> None:
        """So many strangers had to make room at the port of `name`; so often it had to connect to a peer again."""
        if turned_away:
            turned = "1 was turned away" if turned_away == 1 else f"{turned_away} were turned away"
            self._crowds.append(f"strangers crowded the port of {name}: {turned}, outside the fault plan")
        if retried:
            times = "once more" if retried == 1 else f"{retried} times more"
            self._crowds.append(f"{name} had to connect {times}: a port was crowded, outside the fault plan")

    def told(self, places: Places, processes: Iterable[Process]) -> list[str]:
        """One sentence for each incident."""
        if self.ray_is_gone:  # its processes have died with it
            return [self._end_of_ray, *self._crowds]
        return [*self._told_deaths(places, processes), *self._crowds]

    def _told_deaths(self, places: Places, processes: Iterable[Process]) -> Iterator[str]:
        # Where every process of a Ray node has died, it is probably the node that has.
        survivors = {process.hello["place"] for process in processes if process.state == "finished" and process.hello}
        gone = places.gone({process.hello["place"] for process in self._deaths} - survivors)
        for process, when in self._deaths.items():
            how = "its Ray node is gone" if process.hello["place"] in gone else "its process was killed"
            yield f"{process.name} died at {when:.3f} s: {how}, outside the fault plan"
