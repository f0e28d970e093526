"""A few attacks out of `endings.py`, one a kind: whatever dies, the run ends, says so, and leaves nothing."""

from __future__ import annotations

import random
import re
import signal

import pytest

from tests.runtimes.endings import Ending, attack

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(240)]

RAY_DIED = r"Ray died at \d+\.\d+ s: .*, outside the fault plan; the run ended there"
INT, TERM, HUP, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL


@pytest.mark.parametrize(
    ("ending", "code", "sentence"),
    [
        (Ending("shell", "driver", INT, "boot", 2.0), "exit 130", "labkit: interrupted"),
        (Ending("shell", "driver", HUP, "run", 0.5), "exit 129", "labkit: ended by SIGHUP"),
        (Ending("shell", "driver", KILL, "run", 0.5), "exit -9", ""),
        (Ending("shell", "GCS", KILL, "run", 1.0), "exit 6", f"labkit: {RAY_DIED}"),
        (Ending("shell", "guard", KILL, "run", 1.0), "exit 6", f"labkit: {RAY_DIED}"),
        (Ending("kernel", "raylet", KILL, "run", 1.0), "ok", rf"\d+ operations; {RAY_DIED}"),
        (Ending("kernel", "driver", INT, "boot", 2.0), "error", "KeyboardInterrupt: "),
    ],
    ids=lambda value: f"{value.host}, {value.victim}, {value.signal.name}" if isinstance(value, Ending) else "",
)
def test_whatever_dies_the_run_ends_with_a_sentence_and_is_gone(ending: Ending, code: str, sentence: str) -> None:
    attack(ending, random.Random(1))
    assert not ending.complaints, ending
    assert ending.code == code
    assert re.fullmatch(sentence, ending.told), ending.told
