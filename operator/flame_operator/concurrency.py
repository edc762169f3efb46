"""Tasks that live and end together."""

import asyncio
from collections.abc import Collection
from typing import Any


async def until_one_ends(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait until one ends, or until this is cancelled, then cancel the others.

    Raises:
        Exception: What any of them ended with.
    """
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
