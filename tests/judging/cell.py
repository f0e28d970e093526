"""Run as a program: rules that a notebook's cells define, in ``__main__``, judged on real processes and all cores."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from labkit import BadInput, Refused
from labkit.judging import judge

LOCK = threading.Lock()


@dataclass
class Token:
    number: int


def is_overtaken(token: Token, highest: int) -> bool:
    return token.number < highest


async def write(self, token):
    if is_overtaken(Token(token), self.highest):
        raise Refused("overtaken")
    self.highest = token


class Fence:
    async def write(self, token):
        await write(self, token)


async def locked(self, token):
    with LOCK:
        await write(self, token)


async def accept(self, token):
    self.highest = max(Token(token).number, self.highest)


if __name__ == "__main__":
    said = {}
    said["function"] = judge("leases", runtime="ray", write=write, progress=False).broken
    said["class"] = judge("leases", runtime="ray", write=Fence, progress=False).broken
    said["cores"] = str(judge("leases", seeds=12, write=accept, progress=False, parallel=True))
    said["one core"] = str(judge("leases", seeds=12, write=accept, progress=False, parallel=False))
    try:
        judge("leases", runtime="ray", write=locked, progress=False)
    except BadInput as error:
        said["lock"] = str(error)
    said["lock here"] = judge("leases", seeds=10, write=locked, progress=False).holds
    print(json.dumps(said))
