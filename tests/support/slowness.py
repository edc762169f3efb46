"""How slow this machine is at the moment, by which tests stretch their bounds on processor time.

Such bounds say that work is small. They are set for a machine that does a piece of work, of the same kind as
what is tested, in `_USUAL` seconds; where that takes longer, all else does, too.
"""

import json
import time
from collections.abc import Callable

_USUAL = 0.0016
_WORK = json.dumps([{"name": f"n{number}", "values": [number] * 4} for number in range(1_500)])


def slowness() -> float:
    """How many times as long as usual things take; never less than 1."""
    return max(1.0, min(_seconds() for _ in range(5)) / _USUAL)


def quickest(work: Callable[[], object]) -> float:
    """The best of three, in seconds of this thread: other work, and a collection of garbage, come between."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        work()
        took.append(time.thread_time() - began)
    return min(took)


def _seconds() -> float:
    """Of this thread: other processes share the machine."""
    began = time.thread_time()
    found = {one["name"]: sum(one["values"]) for one in json.loads(_WORK)}
    assert len(found) == 1_500
    json.dumps(found)
    return time.thread_time() - began
