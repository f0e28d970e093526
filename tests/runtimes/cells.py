"""Run as a program: what a notebook's cells define, in ``__main__``, in both runtimes; prints lines of JSON."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from labkit import After, BadInput, Dial, FaultPlan, Node
from labkit.lab import Lab, experiment
from labkit.results import Measure, Result
from labkit.runtimes import ray_actors, simulated
from labkit.sweeping import sweep

REQUEST = contextvars.ContextVar("REQUEST", default="-")
LOCK = threading.Lock()
LOG = open(os.devnull, "wb")  # noqa: SIM115  (a notebook's first cell does it like this)


class Currency(Enum):
    EURO = 1
    YEN = 2


@dataclass(frozen=True)
class Money:
    amount: int
    currency: Currency = Currency.EURO


def doubled(money: Money) -> Money:
    return Money(money.amount * 2, money.currency)


class Bank(Node):
    """Keeps what it is given on disk, and passes it on to the other bank."""

    async def start(self) -> None:
        self.kept = await self.disk.load("kept")

    async def put(self, money: Money) -> tuple:
        await self.disk.save("kept", money)
        there, is_same = await self.peer("other").double(money)
        return there, is_same, isinstance(there, Money), there == Money(10, Currency.YEN)

    async def double(self, money: Money) -> tuple:
        return doubled(money), money == Money(5, Currency.YEN)

    async def get(self) -> Money:
        return self.kept


class Customer(Node):
    async def run(self) -> None:
        with self.operation("put", value=Money(5, Currency.YEN)) as operation:
            operation.value = await self.peer("bank").put(Money(5, Currency.YEN))
        self.note("put", money=Money(1))
        await asyncio.sleep(0.5)
        with self.operation("get") as operation:  # answered by the next life, from its disk
            operation.value = await self.peer("bank").get()


class Careless(Node):
    async def run(self) -> None:
        with LOCK:
            self.note("locked")


def request() -> str:
    return REQUEST.get()


class Correlating(Node):
    async def run(self) -> None:
        self.note(request())


class Logging(Node):
    log = LOG


@dataclass(eq=False)
class Noting(Node):
    money: Money

    async def run(self) -> None:
        self.note("money", money=self.money)


class Given(Node):
    def __init__(self, lock: Any):
        self.lock = lock


def banks() -> Lab:
    lab = Lab(seed=1)
    lab.node("bank", Bank)
    lab.node("other", Bank)
    lab.client("customer", Customer)
    lab.faults = FaultPlan().crash("bank", at=After(note="put")).restart("bank", at=After(note="put", delay=0.1))
    return lab


@experiment(title="Notes", guide="")
def notes(lab: Lab, *, amount: int = Dial(1, 1, 9, help="how much")) -> None:
    """Notes an amount of money."""
    lab.client("noting", Noting, money=Money(amount))


@notes.measure
def amounts(result: Result) -> Iterator[Measure]:
    yield Measure("amount", doubled(result.notes[0].details["money"]).amount)


def refusal(node_class: type[Node], **parameters: Any) -> str:
    lab = Lab(seed=1)
    lab.client("client", node_class, **parameters)
    try:
        ray_actors.execute(lab.cluster(), 1)
    except BadInput as error:
        return str(error)
    return ""


def main() -> None:
    refusals = [refusal(Careless), refusal(Correlating), refusal(Logging), refusal(Given, lock=LOCK)]
    print(json.dumps(refusals))
    for execute in (simulated.execute, ray_actors.execute):
        recording = execute(banks().cluster(), 1)
        put, get = (operation.value for operation in recording.operations)
        (note,) = recording.notes
        own = [
            type(put[0]) is Money,
            type(get) is Money,
            put[0].currency is Currency.YEN,
            note.details["money"] == Money(1),
        ]
        print(json.dumps([repr(put), repr(get), own, recording.incidents]))
    swept = sweep("notes", {"amount": [1, 4]}, seeds=2, parallel=True, progress=False)
    print(json.dumps([point.estimates["amount"].mean for point in swept.points]))


if __name__ == "__main__":
    main()
