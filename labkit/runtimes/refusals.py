"""What a simulation refuses: threads, sockets, processes and signals, each with a sentence that says what to do."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from labkit.errors import NotSimulated

THREADS = "await the work itself, and `asyncio.sleep` for the time that it should take"
LOOP_OF_ITS_OWN = "all nodes of a simulation share one thread: call `call_soon`"
SOCKETS = "reach another node with `self.peer(name)`, or run on processes of their own with runtime='ray'"
PROCESSES = "make it a node, which has its own memory and can be crashed"
SIGNALS = "plan a fault: FaultPlan().crash(…) or .pause(…)"

REFUSED = {
    THREADS: ("run_in_executor", "set_default_executor"),
    LOOP_OF_ITS_OWN: ("call_soon_threadsafe",),
    SOCKETS: (
        "create_connection", "create_server", "create_datagram_endpoint", "create_unix_connection",
        "create_unix_server", "connect_accepted_socket", "start_tls", "sendfile", "getaddrinfo", "getnameinfo",
        "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto",
        "sock_connect", "sock_accept", "sock_sendfile", "add_reader", "remove_reader", "add_writer", "remove_writer",
    ),
    PROCESSES: ("subprocess_exec", "subprocess_shell", "connect_read_pipe", "connect_write_pipe"),
    SIGNALS: ("add_signal_handler", "remove_signal_handler"),
}  # fmt: skip
"""Methods of an event loop, by what to do instead."""


class Refusing(asyncio.BaseEventLoop):
    """A loop without threads, sockets, processes and signals."""


def _refusal(name: str, instead: str) -> Any:
    def refuse(self: Refusing, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotSimulated(f"{name} is not part of a simulation: {instead}")

    refuse.__name__, refuse.__doc__ = name, f"Raises `NotSimulated`: {instead}."
    return refuse


for instead, names in REFUSED.items():
    for name in names:
        setattr(Refusing, name, _refusal(name, instead))
