"""Runs asyncio tasks that end together."""

import asyncio
from collections.abc import Collection
from typing import Any


async def until_one_ends(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait until one of the tasks ends, or this wait is cancelled, then cancel the others.

    Raises:
        Exception: The exception with which any of them ended.
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
