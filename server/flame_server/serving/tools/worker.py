"""The thread that puts answers together: nothing that grows with the docs runs on the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
# One, like that of searches: a second gains nothing, and memory stays flat under load.
_WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")


async def in_worker(work: Callable[[], _T]) -> _T:
    """What `work` returns, computed in the thread of answers."""
    return await asyncio.get_running_loop().run_in_executor(_WORKER, work)
