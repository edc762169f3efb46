"""An event loop whose time passes only when nothing else is left to do: hours in milliseconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        assert found or timeout is not None, "everything waits for something that never comes"
        if not found:
            self.now += max(0.0, timeout or 0.0)
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end; the loop's time starts at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that takes no fixtures, run to its end."""

    @wraps(test)
    def run() -> None:
        run_virtually(test())

    return run
