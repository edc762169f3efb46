"""What a reconcile asks besides the API."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from flame_operator.events import Recorder
from flame_operator.model import Key
from flame_operator.pacing import Pacer
from flame_operator.pipeline import Turns
from flame_operator.references import References
from flame_operator.verify import Verifier

log = structlog.get_logger(__name__)

EXPIRE_SECONDS = 30.0
"""How often to look for rollouts that hold up others for too long."""


@dataclass(frozen=True)
class Helpers:
    """Each remembers something about servers until it is told to forget."""

    references: References
    pacer: Pacer
    verifier: Verifier
    recorder: Recorder
    turns: Turns

    def forget(self, key: Key) -> None:
        """The server is gone."""
        self.references.forget(key)
        self.pacer.done(key)
        self.verifier.drop(key)
        self.turns.note(key, busy=False)

    def background(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What each does by itself, until it is cancelled."""
        return self.references.run, self.verifier.run, self.recorder.run, self._expire_turns

    async def _expire_turns(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            for key in self.pacer.expire():
                log.warning("pods are not replaced in time, the next have their turn", **key.fields())
