"""A references poller with an API server and a clock in a test's hands, and references to look up."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from flame_operator.desired.references import Reference
from flame_operator.references.digests import Digests
from flame_operator.references.lookup import LOOKS_PER_SECOND, References
from flame_operator.references.poll_schedule import Schedule
from flame_operator.references.resolved import Resolved
from flame_operator.resource.kinds import SECRET, Key, Kind, Manifest
from tests.support.operator.fake_kube import FakeKube
from tests.support.operator.fake_time import FakeTime, settle

DOCS, WIKI = Key("team", "docs"), Key("team", "wiki")
TOKENS = Key("team", "tokens")
FIELD = "spec.auth.bearer.tokenSecretRef"
POLL = ["metadata Secret"]
LOOK = ["metadata Secret", "get Secret"]


def reference(
    key: str | None = "bearer",
    *,
    kind: Kind = SECRET,
    name: str = "tokens",
    **more: Any,  # noqa: ANN401
) -> Reference:
    return Reference(kind, name, key, **{"field": FIELD, "rolls": True, **more})


TOKEN = reference()


def secret(name: str = "tokens", namespace: str = "team", **data: str) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


class SlowKube(FakeKube):
    """Answers when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()
        self.asked = asyncio.Event()

    async def get(self, kind: Kind, key: Key, *, most: int = 0) -> Manifest | None:  # noqa: ARG002 - all are small
        return await self._wait(await super().get(kind, key))

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        return await self._wait(await super().get_metadata(kind, key))

    async def _wait(self, answer: Manifest | None) -> Manifest | None:
        self.asked.set()
        await self.free.wait()
        return answer

    def hold(self) -> None:
        """From now on, answer nothing until `free` is set."""
        self.free.clear()
        self.asked.clear()


class World:
    """An API server, time, and a references poller that may be started anew."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.time = FakeTime()
        self.told: list[Key] = []
        self.start()

    def start(self, jitter: Callable[[], float] = lambda: 0.5) -> None:
        time = self.time
        self.references = References(
            self.kube,
            Digests(b"k" * 32),
            self.told.append,
            schedule=Schedule(per_second=LOOKS_PER_SECOND, clock=time.clock, sleep=time.sleep, jitter=jitter),
        )

    def slow(self) -> SlowKube:
        """Have an API server that answers when told so."""
        self.kube = slow = SlowKube()
        self.start()
        return slow

    async def resolve(self, server: Key = DOCS, *references: Reference) -> Resolved:
        return await self.references.resolve(server, references or (TOKEN,))

    def asked(self) -> list[str]:
        """The requests since the last call."""
        asked, self.kube.requests = self.kube.requests, []
        return asked

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.references.run())
        await settle()
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()


async def settled(world: World, *servers: Key, **data: str) -> None:
    """A Secret, servers that use its key `bearer`, and a poll at which nothing had changed."""
    world.kube.create(secret(**data))
    for server in servers:
        await world.resolve(server)
    world.asked()
