"""Lab 07: order, payment and notification by call, by queue, and half and half, over the same load and faults."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.calls import UNKNOWN, CallError, Refused
from labkit.checkers.orders import (
    ALL_NOTIFIED,
    NONE_DENIED,
    NONE_LOST,
    all_answered,
    all_notified,
    none_charged_twice,
    none_denied,
    none_lost,
    paid_in_time,
)
from labkit.dials import Choice, Dial, Switch, unless
from labkit.experiments.order_measures import of_answers, of_backlog, of_slots, of_times, orders_of
from labkit.experiments.queueing import mean_time
from labkit.faults import FaultPlan
from labkit.history import Message
from labkit.lab import Lab, experiment, require
from labkit.latency import SHAPES, Constant, Exponential, of_mean
from labkit.network import Link, Network
from labkit.node import Node
from labkit.patterns.order_flow import CHARGED, MODES, Notification, OrderService, Payment, is_refusal_at_the_door
from labkit.patterns.queues import Broker
from labkit.results import HOLDS, Measure, Result, Verdict
from labkit.scenes import ended_by
from labkit.wording import count
from labkit.workload import open_loop

ROOMY = 200
"""From so many request slots on, the laws take them for enough."""


@dataclass(eq=False, kw_only=True)
class Users(Node):
    """Place orders as a Poisson process, wait for no other user, and note when they hear that theirs is complete.

    The operation ``order`` ends with the answer, which is its value; ``completion`` of the same order ends with the
    notification. Whoever has no answer after `patience` seconds goes away.
    """

    rate: float
    orders: int
    patience: float
    give_up: float

    async def start(self) -> None:
        self._expected: dict[str, asyncio.Future[None]] = {}

    async def run(self) -> None:
        await open_loop(self, self._order, rate=self.rate, count=self.orders)

    async def notified(self, order: str) -> None:
        """Hear that an order is complete."""
        expected = self._expected.pop(order, None)
        if expected is not None and not expected.done():
            expected.set_result(None)

    async def _order(self, index: int) -> None:
        order = f"{self.name}/{index}"
        complete = self._expected[order] = asyncio.get_running_loop().create_future()
        with self.operation("completion", order, process=f"{self.name}.{index}*"):
            with self.operation("order", order, process=f"{self.name}.{index}") as placed:
                call = self.peer("orders").place(order, timeout=self.patience)
                try:
                    placed.value = await call
                except CallError as error:
                    placed.value = _told(error)
                    raise
            if not placed.ok:
                raise CallError("not accepted") if placed.outcome == "unknown" else Refused("not accepted")
            async with asyncio.timeout(self.give_up):
                await complete


def _told(error: CallError) -> str | None:
    if is_refusal_at_the_door(str(error)):
        return "refused"
    return None if str(error) == "orders.place: no answer within the timeout" else "error"


QUEUES = unless("mode", "call")


@experiment(title="By call and by queue", guide="Synchronous vs asynchronous communication")
def sync_vs_async(
    lab: Lab,
    *,
    mode: str = Choice("call", MODES, "how payment and notification are reached; hybrid: payment by call"),
    rate: float = Dial(20.0, 0.1, 1000.0, "1/s", "orders a second, whatever became of those before"),
    orders: int = Dial(300, 1, 200_000, help="orders that users place"),
    payment_time: float = Dial(0.05, 0.0, 10.0, "s", "mean time that a payment takes a worker"),
    shape: str = Choice("exponential", SHAPES, "distribution of the times that payments and notifications take"),
    payment_workers: int = Dial(4, 1, 64, help="payments at once"),
    notification_time: float = Dial(0.02, 0.0, 10.0, "s", "mean time that a notification takes a worker"),
    failure_rate: float = Dial(0.0, 0.0, 0.9, "", "share of the attempts to charge that fail"),
    outage: float = Dial(10.0, 0.0, 60.0, "s", "how long the service is down"),
    outage_at: float = Dial(2.0, 0.0, 600.0, "s", "when it goes down", needs=unless("outage", 0.0)),
    down: str = Choice("payment", ("payment", "notification", "broker"), "which of them goes down"),
    fault: str = Choice(
        "pause", ("pause", "crash"), "stopped and let go on, or killed and started anew", needs=unless("outage", 0.0)
    ),
    slots: int = Dial(20, 1, 10_000, help="orders that the order service has in hand at once; more it refuses"),
    queue_limit: int = Dial(1000, 0, 100_000, help="orders that may wait in a queue, or for a worker; 0: any number"),
    timeout: float = Dial(2.0, 0.0, 60.0, "s", "how long the order service waits for an answer; 0: for ever"),
    retries: int = Dial(0, 0, 10, help="further attempts of a call that came to nothing"),
    patience: float = Dial(30.0, 0.1, 600.0, "s", "how long a user waits for an answer"),
    promise: float = Dial(30.0, 0.01, 3600.0, "s", "time within which an accepted order is to be paid"),
    lease: float = Dial(
        2.0, 0.1, 600.0, "s", "time after which an order taken from a queue is handed over again", needs=QUEUES
    ),
    delay: float = Dial(0.001, 0.0, 1.0, "s", "mean one-way delay"),
    disk_time: float = Dial(0.0, 0.0, 1.0, "s", "how long a simulated disk takes to sync; a real one takes its time"),
    loss: float = Dial(0.0, 0.0, 0.2, "", "probability that a message is lost"),
    duplication: float = Dial(0.0, 0.0, 0.2, "", "probability that a message arrives twice"),
    acknowledge_after: bool = Switch(
        True, "consumers acknowledge an order when they have dealt with it, not before", needs=QUEUES
    ),
    idempotent: bool = Switch(True, "payment recognises an order that it has charged already"),
    admits_doubt: bool = Switch(True, "an order whose payment did not answer is not reported as failed"),
    confirm_after: bool = Switch(True, "the broker confirms an order when its disk has it, not before", needs=QUEUES),
) -> None:
    """Users order, payment charges, notification tells them: who waits for whom, and what if payment is down?"""
    require(mode != "call" or down != "broker" or not outage, "down", down, "payment or notification, by call")
    limit = queue_limit or None
    by_queue = mode == "queue"
    per_order = payment_time / payment_workers + notification_time / payment_workers
    backlog_time = orders * per_order / (1 - failure_rate)
    if mode != "call":
        lab.node("broker", Broker, limit=limit, lease=lease, confirm_after=confirm_after)
    lab.node(
        "orders", OrderService, mode=mode, slots=slots, timeout=timeout, retries=retries, admits_doubt=admits_doubt
    )
    common = {"workers": payment_workers, "queue_limit": limit, "acknowledge_after": acknowledge_after}
    lab.node(
        "payment",
        Payment,
        time=of_mean(shape, payment_time),
        failure_rate=failure_rate,
        idempotent=idempotent,
        inbox="payments" if by_queue else "",
        outbox="notifications" if by_queue else "",
        **common,
    )
    inbox = "notifications" if mode != "call" else ""
    lab.node("notification", Notification, time=of_mean(shape, notification_time), inbox=inbox, **common)
    stalled = 12 * loss * orders / payment_workers  # a consumer waits for each lost answer, six an order, up to 2 s
    give_up = 2 * (backlog_time + stalled) + outage + 4 * lease + 5
    lab.client("users", Users, rate=rate, orders=orders, patience=patience, give_up=give_up)
    latency = Exponential(delay) if delay else Constant(0.0)
    lab.network = Network(Link(latency, loss=loss, duplication=duplication))
    lab.sync_delay = disk_time
    lab.time_limit = 10 * (orders / rate) + give_up + patience + 60
    if outage:
        lab.faults = _outage(fault, down, outage_at, outage_at + outage)


def _outage(fault: str, node: str, begin: float, end: float) -> FaultPlan:
    if fault == "crash":
        return FaultPlan().crash(node, at=begin).restart(node, at=end)
    return FaultPlan().pause(node, at=begin).resume(node, at=end)


@sync_vs_async.measure
def measures(result: Result) -> Iterator[Measure]:
    """What users saw and when, how much was under way, and what became of the orders."""
    orders = orders_of(result)
    yield from of_times(result)
    yield from of_answers(result, orders)
    yield from of_backlog(result, orders)
    yield from of_slots(result, orders)


@sync_vs_async.verify
def verdicts(result: Result) -> Iterator[Verdict]:
    """Whether orders were kept, charged once, paid in time, and their users answered truthfully, and told."""
    orders = orders_of(result)
    yield none_lost(orders)
    yield none_charged_twice(orders)
    yield none_denied(orders)
    yield paid_in_time(orders, result.parameters["promise"])
    yield all_answered(orders)
    yield all_notified(orders)


def _is_undisturbed(values: Mapping[str, Any]) -> bool:
    faults = values["outage"] or values["failure_rate"] or values["loss"] or values["duplication"]
    return not faults and values["shape"] == "exponential" and values["slots"] >= ROOMY


def _service(values: Mapping[str, Any], time: str) -> float | None:
    """Mean time at payment or notification; None if it cannot keep up, or if waits come near a limit or a timeout."""
    tries = 1 / (1 - values["failure_rate"]) if values["mode"] == "queue" and time == "payment_time" else 1.0
    utilisation = values["rate"] * values[time] * tries / values["payment_workers"]
    if utilisation >= 1:
        return None
    mean = mean_time(values["payment_workers"], utilisation, values[time])
    waiting = values["rate"] * mean
    has_room = not values["queue_limit"] or waiting < values["queue_limit"] / 5
    if values["mode"] != "queue":
        has_room = has_room and waiting < values["slots"] / 5 and not 0 < values["timeout"] < 10 * mean
    return mean if has_room else None


@sync_vs_async.law(measure="response_mean", label="M/M/c (and 4 delays by queue, 6 by call)")
def expected_response(values: Mapping[str, Any]) -> float | None:
    """By call, the times in two M/M/c systems one after the other; by queue, none of them.

    What leaves an M/M/c system is a Poisson process again (Burke 1956), so the second is as simple as the first.
    """
    steps = [_service(values, "payment_time"), _service(values, "notification_time")]
    if not _is_undisturbed(values) or None in steps:
        return None
    if values["mode"] == "queue":
        return 4 * values["delay"] + values["disk_time"]
    if values["disk_time"]:
        return None  # a payment then takes an exponential and a constant time
    return sum(steps if values["mode"] == "call" else steps[:1]) + 6 * values["delay"]


@sync_vs_async.law(measure="blocked_mean", label="rate · mean response")
def expected_blocked(values: Mapping[str, Any]) -> float | None:
    """Little's law over `expected_response`, as if there were slots for all, and patience without end."""
    response = expected_response({**values, "slots": max(values["slots"], ROOMY), "timeout": 0.0})
    return None if response is None else values["rate"] * response


@sync_vs_async.law(measure="time_to_drain", label="(rate · (outage + cycle) − workers) / (workers / cycle − rate)")
def expected_drain(values: Mapping[str, Any]) -> float | None:
    """What came in during the outage and was there before it, less one for each worker, over what is served beyond
    what still comes in.

    A worker's cycle is the payment, three round trips (to take, to tell notification, to acknowledge), two syncs.
    """
    ends = values["outage_at"] + values["outage"]
    if values["mode"] != "queue" or not values["outage"] or values["down"] != "payment":
        return None
    if values["failure_rate"] or values["loss"] or values["duplication"] or not values["payment_time"]:
        return None
    cycle = values["payment_time"] + 6 * values["delay"] + 2 * values["disk_time"]
    spare = values["payment_workers"] / cycle - values["rate"]
    if spare <= 0 or values["lease"] < 10 * cycle:  # orders would be handed over twice
        return None
    pile = values["rate"] * (values["outage"] + cycle) - values["payment_workers"]
    drained = max(pile, 0.0) / spare
    has_room = not values["queue_limit"] or values["queue_limit"] > values["rate"] * values["outage"]
    lasts = values["orders"] / values["rate"] >= ends + drained
    return drained if has_room and lasts else None


@sync_vs_async.law(measure="availability", label="1 − failure rate^(1 + retries)")
def expected_availability(values: Mapping[str, Any]) -> float | None:
    """By call, an order fails if every attempt does; by queue it is accepted, and tried until it succeeds."""
    faults = values["outage"] or values["loss"] or values["duplication"]
    steps = [_service(values, "payment_time"), _service(values, "notification_time")]
    if faults or values["slots"] < ROOMY or None in steps:
        return None
    return 1.0 if values["mode"] == "queue" else 1 - values["failure_rate"] ** (1 + values["retries"])


@sync_vs_async.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """Messages there and back for each step of an order, and what idle consumers ask of the broker."""
    messages = {"call": 8, "hybrid": 12, "queue": 16}[values["mode"]]
    lasts = values["orders"] / values["rate"] + values["outage"]
    events = {"orders": values["orders"] * (6.0 + 2 * messages)}
    if values["mode"] != "call":
        consumers = values["payment_workers"] * (2 if values["mode"] == "queue" else 1)
        events["payment_workers"] = 4.0 * consumers * lasts
    return events


sync_vs_async.ablation(
    "the queue has no limit", without={"queue_limit": 0}, breaks="every accepted order is paid in time",
    mode="queue", rate=40.0, orders=150, payment_time=0.1, payment_workers=2, queue_limit=20, promise=2.5, outage=0.0,
)  # fmt: skip
sync_vs_async.ablation(
    "consumers acknowledge before they have dealt with it", without={"acknowledge_after": False},
    breaks=NONE_LOST, mode="queue", orders=60, outage=0.5, outage_at=1.0, fault="crash",
)  # fmt: skip
sync_vs_async.ablation(
    "notification acknowledges before it has told anybody", without={"acknowledge_after": False},
    breaks=ALL_NOTIFIED, mode="hybrid", orders=60, outage=0.5, outage_at=1.0, down="notification", fault="crash",
    notification_time=0.15,
)  # fmt: skip
sync_vs_async.ablation(
    "the broker confirms before its disk has it", without={"confirm_after": False},
    breaks=NONE_LOST, mode="queue", orders=60, outage=0.5, outage_at=1.0, down="broker", fault="crash", disk_time=0.1,
)  # fmt: skip
sync_vs_async.ablation(
    "payment does not recognise what it has charged", without={"idempotent": False},
    breaks="no order is charged twice", mode="queue", orders=60, outage=3.0, outage_at=1.0,
)  # fmt: skip
sync_vs_async.ablation(
    "calls have no timeout", without={"timeout": 0.0}, breaks="every user is answered",
    mode="call", orders=60, outage=4.0, outage_at=1.0, timeout=0.5, patience=2.0,
)  # fmt: skip
sync_vs_async.ablation(
    "no answer is taken for a refusal", without={"admits_doubt": False}, breaks=NONE_DENIED,
    mode="call", orders=60, outage=1.0, outage_at=1.0, timeout=0.5, slots=4,
)  # fmt: skip


@sync_vs_async.answers
def answers(result: Result) -> Iterator[tuple[Message, str]]:
    """What users are told of their orders, and whether payment has charged one."""
    charged_us = {note.at_us for note in result.notes if note.label == CHARGED}
    for message in result.messages:
        if message.is_reply and message.method == "place":
            order = ended_by(message, [each for each in result.operations if each.function == "order"])
            if order is not None and order.value is not None:
                yield message, str(order.value)
        elif message.is_reply and message.method == "pay" and message.sent_us in charged_us:
            yield message, "charged"
        elif message.is_reply and message.method in ("publish", "acknowledge"):
            yield message, "ack"


CERTAIN = "whoever is answered without a timeout is told for certain"


def _tells_for_certain(result: Result) -> Iterator[Verdict]:
    # No call of such an order can have come to its timeout: each was answered, or refused.
    orders = [each for each in result.operations if each.function == "order"]
    prompt = [order for order in orders if order.latency < result.parameters["timeout"]]
    vague = [order for order in prompt if order.outcome == UNKNOWN]
    why = f"{len(vague)} of {count(len(prompt), 'order')} ended in doubt"
    yield (
        Verdict.against(CERTAIN, why, (vague[0], "answered before its timeout, and its outcome is unknown"))
        if vague
        else Verdict(CERTAIN, HOLDS, why)
        if prompt
        else Verdict.of_nothing(CERTAIN, "every order came to a timeout")
    )


sync_vs_async.rule(
    "charge", of=OrderService, method="_charge", breaks=NONE_DENIED, verify=_tells_for_certain,
    costs={"response_mean": "mean response", "charged_unaware": "users charged and not told"},
    task="Have payment charge an order. Raise Refused only if nothing was charged and nothing will be, and Unanswered "
    "if that cannot be known.",
    mode="call", orders=60, outage=1.0, outage_at=1.0, timeout=0.5, retries=1, failure_rate=0.3, payment_workers=2,
    queue_limit=8, slots=200,
)  # fmt: skip
