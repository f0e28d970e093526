"""Runs the interpreter's own tests of asyncio on the simulated loop: a script, for whichever Python runs it.

Its arguments are modules of `test.test_asyncio`; prints one line of JSON: how many ran, and which failed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import unittest

from test.test_asyncio import utils

from labkit.runtimes.simulated_loop import SimulatedLoop

LEFT_OUT = (
    "RunCoroutineThreadsafeTests",  # threads
    "test_wrap_future",  # an executor
    "test_stop_while_run_in_complete",  # asks where the tests' own loop moves its clock to after it was stopped
)


class Loop(SimulatedLoop):
    """A simulated loop whose clock can be moved while it stands, as that of the tests' own loop can."""

    def advance_time(self, seconds: float) -> None:
        self.environment._now += round(seconds * 1e6)


class Policy(asyncio.DefaultEventLoopPolicy):
    """Every loop that a test asks for is a simulated one."""

    made = 0

    def new_event_loop(self) -> Loop:
        Policy.made += 1
        return Loop()


def simulate_all_loops() -> None:
    """Also after a module of tests has gone back to the usual policy, and instead of the tests' own loop.

    That loop is told by a generator how far to move its clock. A simulated one knows by itself.
    """
    asyncio.DefaultEventLoopPolicy = Policy
    asyncio.set_event_loop_policy(None)

    def new_test_loop(self: utils.TestCase, times: object = None) -> Loop:
        loop = asyncio.new_event_loop()
        self.set_event_loop(loop)
        return loop

    utils.TestCase.new_test_loop = new_test_loop


def cases(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    """Every single test of a suite of suites."""
    found = []
    for part in suite:
        found += cases(part) if isinstance(part, unittest.TestSuite) else [part]
    return found


def main(modules: list[str]) -> None:
    """Run them all, and say what became of them."""
    simulate_all_loops()
    suite, left_out = unittest.TestSuite(), []
    for name in modules:
        for case in cases(unittest.defaultTestLoader.loadTestsFromName(f"test.test_asyncio.{name}")):
            if any(word in case.id() for word in LEFT_OUT):
                left_out.append(case.id())
            else:
                suite.addTest(case)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=0).run(suite)
    failed = [case.id() for case, _ in result.failures + result.errors]
    print(json.dumps({"ran": result.testsRun, "loops": Policy.made, "failed": failed, "left out": left_out}))


if __name__ == "__main__":
    main(sys.argv[1:])
