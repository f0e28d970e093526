"""Lab 07, first half: one waiting line before c workers, and the laws of how long it gets."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.dials import Choice, Dial
from labkit.history import Operation
from labkit.lab import Lab, experiment
from labkit.latency import SHAPES, Latency, of_mean
from labkit.node import Node, Recorded
from labkit.results import HOLDS, UNDECIDED, Measure, Result, Verdict, percentile, share

SAMPLED = "customers in the system"
SAMPLES_A_SERVICE = 0.1

SETTLES = "the queue has settled"
SETTLED = 5
"""How many times as many customers as a line remembers make its means worth reading."""


@dataclass(eq=False, kw_only=True)
class Counter(Node):
    """Customers arrive as a Poisson process and are served first come, first served, by one of the workers.

    The operation ``visit`` lasts from arrival to departure; its value is how long the customer waited in line.
    """

    rate: float
    customers: int
    workers: int
    time: Latency
    sample_every: float

    async def run(self) -> None:
        self._draw_us = self.time.sampler(self.random)
        self._line: deque[tuple[Recorded, float]] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._left = self.customers
        self._gone = asyncio.get_running_loop().create_future()
        for _ in range(self.workers):
            self.spawn(self._serve())
        self.spawn(self._sample())
        await self._arrive()
        await self._gone

    async def _arrive(self) -> None:
        loop, draw = asyncio.get_running_loop(), self.random.expovariate
        due = loop.time()
        for index in range(self.customers):
            due += draw(self.rate)
            await asyncio.sleep(due - loop.time())
            self._line.append((self.operation("visit", index), loop.time()))
            if self._idle:
                self._idle.popleft().set_result(None)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._line:
                called = loop.create_future()
                self._idle.append(called)
                await called
            visit, arrived = self._line.popleft()
            with visit as visiting:
                visiting.value = loop.time() - arrived
                await asyncio.sleep(self._draw_us() / 1e6)
            self._left -= 1
            if not self._left:
                self._gone.set_result(None)

    async def _sample(self) -> None:
        # Counted by looking, not from the visits' lengths: Little's law relates the two.
        while True:
            await asyncio.sleep(self.sample_every)
            self.note(SAMPLED, number=len(self._line) + self.workers - len(self._idle))


@experiment(title="One queue", guide="Synchronous vs asynchronous communication: scalability")
def queueing(
    lab: Lab,
    *,
    utilisation: float = Dial(0.8, 0.01, 0.99, "", "arrival rate as a part of what all workers can serve"),
    workers: int = Dial(1, 1, 64, help="workers that serve the one line"),
    service_time: float = Dial(1.0, 0.001, 100.0, "s", "mean time that a worker takes for a customer"),
    shape: str = Choice("exponential", SHAPES, "distribution of the service times"),
    customers: int = Dial(2000, 10, 2_000_000, help="customers that arrive, as a Poisson process"),
    warm_up: float = Dial(0.1, 0.0, 0.9, "", "part of the customers at the start that is not measured"),
) -> None:
    """Customers arrive whenever they like; how long do they wait, and how many are there?"""
    rate = utilisation * workers / service_time
    every = service_time / SAMPLES_A_SERVICE
    time = of_mean(shape, service_time)
    lab.client("counter", Counter, rate=rate, customers=customers, workers=workers, time=time, sample_every=every)
    lab.time_limit = 100 * customers / rate + 1000 * service_time + 60


@queueing.measure
def measures(result: Result) -> Iterator[Measure]:
    """How long customers were there, how many waited, and Little's law measured from both sides."""
    visits = _measured_visits(result)
    times = sorted(visit.latency for visit in visits)
    mean = math.fsum(times) / len(times)
    yield Measure("time_in_system", mean, "s", "mean time from arrival to departure")
    yield Measure("time_in_system_p50", percentile(times, 0.5), "s", "half of the customers took at most this")
    yield Measure("time_in_system_p99", percentile(times, 0.99), "s", "99% of the customers took at most this")
    waited = sum(visit.value > 0 for visit in visits)
    yield Measure("waited", share(waited, len(visits)), "", "share of the customers that had to wait")
    begin_us, end_us = visits[0].invoked_us, visits[-1].invoked_us
    counts = [n.details["number"] for n in result.notes if n.label == SAMPLED and begin_us <= n.at_us <= end_us]
    present = math.fsum(counts) / len(counts) if counts else math.nan
    yield Measure("customers_present", present, "", "mean number of customers in the system, counted at intervals")
    arrivals = (len(visits) - 1) / ((end_us - begin_us) / 1e6) if end_us > begin_us else math.nan
    yield Measure("arrival_rate", arrivals, "1/s", "customers that arrived a second")
    yield Measure("rate_times_time", arrivals * mean, "", "arrival rate times mean time in the system")


@queueing.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """Whether the run is long enough for its means to say something about the law."""
    served, memory = len(_measured_visits(result)), customers_remembered(result.parameters["utilisation"])
    if served >= SETTLED * memory:
        yield Verdict(SETTLES, HOLDS)
        return
    yield Verdict(
        SETTLES,
        UNDECIDED,
        f"not settled yet: at this utilisation the line remembers some {memory:,.0f} customers, and {served:,} are few",
    )


def customers_remembered(utilisation: float) -> float:
    """Customers after whom a line has forgotten most of how it was: ρ / (1 − √ρ)².

    The relaxation time of M/M/1, 1 / (√μ − √λ)², times the arrival rate λ (Morse, Stochastic Properties of Waiting
    Lines, Operations Research 3, 1955). Taken here for the other queues, too, as an order of magnitude.
    """
    return utilisation / (1 - math.sqrt(utilisation)) ** 2


def _measured_visits(result: Result) -> list[Operation]:
    ended = [visit for visit in result.operations if visit.ok]
    return ended[round(result.parameters["warm_up"] * len(ended)) :]


def probability_of_waiting(workers: int, utilisation: float) -> float:
    """Erlang's C formula: P(an arriving customer finds all workers busy), Poisson arrivals, exponential service."""
    offered = workers * utilisation
    blocked = 1.0  # Erlang's B, by its recursion over the number of workers
    for number in range(1, workers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - utilisation * (1 - blocked))


def mean_time(workers: int, utilisation: float, service_time: float) -> float:
    """Mean time in an M/M/c system: service, and with `probability_of_waiting` a wait of s / (c · (1 − ρ))."""
    return service_time * (1 + probability_of_waiting(workers, utilisation) / (workers * (1 - utilisation)))


@queueing.law(measure="time_in_system", label="s · (1 + C / (c · (1 − ρ)))")
def expected_time(values: Mapping[str, Any]) -> float | None:
    """`mean_time` for exponential service; for one worker, Pollaczek and Khinchine's formula where it is finite."""
    utilisation, service = values["utilisation"], values["service_time"]
    if values["shape"] == "exponential":
        return mean_time(values["workers"], utilisation, service)
    # Squared coefficients of variation; that of the Pareto distribution used here is infinite.
    variation = {"constant": 0.0, "uniform": 1 / 3, "lognormal": math.e - 1}.get(values["shape"])
    if variation is None or values["workers"] > 1:
        return None
    return service * (1 + utilisation * (1 + variation) / (2 * (1 - utilisation)))


@queueing.law(measure="time_in_system_p99", label="s · ln 100 / (1 − ρ)")
def expected_p99(values: Mapping[str, Any]) -> float | None:
    """With one worker and exponential service, the time in the system is exponential too, with mean s / (1 − ρ)."""
    if values["shape"] != "exponential" or values["workers"] > 1:
        return None
    return values["service_time"] * math.log(100) / (1 - values["utilisation"])


@queueing.law(measure="waited", label="Erlang's C")
def expected_waiting(values: Mapping[str, Any]) -> float | None:
    """`probability_of_waiting`; with one worker it is the utilisation, whatever the service times."""
    if values["workers"] == 1:
        return values["utilisation"]
    return (
        probability_of_waiting(values["workers"], values["utilisation"]) if values["shape"] == "exponential" else None
    )


@queueing.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """A customer comes and goes; and now and then somebody counts."""
    rate = values["utilisation"] * values["workers"] / values["service_time"]
    samples = SAMPLES_A_SERVICE / (values["service_time"] * rate)
    return {"customers": values["customers"] * (2.0 + samples)}
