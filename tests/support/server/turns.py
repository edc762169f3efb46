"""Measures how long work holds the event loop."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Turns:
    """The longest turn of the event loop so far, in seconds of its thread: others share the machine."""

    longest: float = 0.0


@asynccontextmanager
async def turns() -> AsyncIterator[Turns]:
    """Measures while the block runs."""
    found = Turns()

    async def watch() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            found.longest = max(found.longest, time.thread_time() - began)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        yield found
        await asyncio.sleep(0)
    finally:
        watching.cancel()
