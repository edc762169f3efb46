"""Writes Kubernetes Events about servers: combines repeats, and limits how many are written and kept."""

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from flame_operator.errors import Conflict, NamespaceTerminating, Refused, Unavailable
from flame_operator.resource.kinds import EVENT, MANAGER, SERVER, Key, Manifest, key_of
from flame_operator.shares import Buckets
from flame_operator.status.events import Event

log = structlog.get_logger(__name__)

REPEAT_SECONDS = 600.0
"""How often an event is written again, at most; repeats in between are only counted."""
OBJECT_BURST = 10
OBJECT_REFILL_SECONDS = 60.0
"""One object may cause `OBJECT_BURST` events at once, and one more every `OBJECT_REFILL_SECONDS`."""
QUEUE_LENGTH = 1000
REMEMBERED = 4096
"""How many events are remembered, at most."""
MESSAGE_LENGTH = 1024
"""The longest message of an Event that the API server accepts, in characters."""
ACTION = "ReportStatus"
"""The value of the Events' field `action`: what the operator was doing."""

Result = Literal["written", "failed", "dropped"]


class EventApi(Protocol):
    """The part of the Kubernetes API that `Recorder` needs."""

    async def post_event(self, event: Manifest) -> None:
        """Create the Event, or update the one with its name.

        Raises:
            Refused, Conflict, Unavailable: As with every write.
        """


@dataclass(slots=True, eq=False)
class _Series:
    """One event about one server, with its repeats."""

    name: str
    key: Key
    uid: str
    event: Event
    first: str
    last: str
    count: int = 1
    due: float = 0.0
    """When it may be written again, in the event loop's time."""
    queued: bool = False
    timer: asyncio.TimerHandle | None = None


class _Line:
    """The Events that wait to be written; namespaces take turns."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[_Series]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, series: _Series) -> None:
        self._waiting.setdefault(series.key.namespace, deque()).append(series)
        self._length += 1

    def put_back(self, series: _Series) -> None:
        """Make the one that was taken last the next one again."""
        namespace = series.key.namespace
        self._waiting.setdefault(namespace, deque()).appendleft(series)
        self._waiting.move_to_end(namespace, last=False)
        self._length += 1

    def pop(self) -> _Series:
        """Take the oldest Event of the namespace whose last one was taken longest ago."""
        namespace, waiting = self._waiting.popitem(last=False)
        series = waiting.popleft()
        if waiting:
            self._waiting[namespace] = waiting
        self._length -= 1
        return series

    def pop_loudest(self) -> _Series:
        """Take the newest Event of the namespace that has most of them, to make room."""
        # Of several, the last one: it is the one that came last, or that had a turn last.
        namespace = max(reversed(self._waiting), key=lambda one: len(self._waiting[one]))
        series = self._waiting[namespace].pop()
        if not self._waiting[namespace]:
            del self._waiting[namespace]
        self._length -= 1
        return series


class Recorder:
    """Writes Events in the background. Repeats share one Event, and rate, queue and memory are bounded.

    Args:
        api: Where the Events are written.
        per_second: How many Events are written in a second, over all servers.
        instance: The name of this operator process, e.g. its pod's name.
        now: Returns the time, RFC 3339 in UTC, whole seconds.
        observe: Called with the result for each Event.
    """

    def __init__(
        self,
        api: EventApi,
        *,
        per_second: float,
        instance: str,
        now: Callable[[], str],
        observe: Callable[[Result], None],
    ) -> None:
        self._api = api
        self._pause = 1 / per_second
        self._instance = instance
        self._now = now
        self._observe = observe
        self._series: OrderedDict[str, _Series] = OrderedDict()
        self._buckets = Buckets(OBJECT_BURST, OBJECT_REFILL_SECONDS)
        self._queue = _Line()
        self._wake = asyncio.Event()

    def record(self, server: Manifest, event: Event) -> None:
        """Queue an Event about a server; returns at once, whatever the API server does."""
        name, time = _name(server, event), self._now()
        now = asyncio.get_running_loop().time()
        series = self._series.get(name)
        if series is None:
            series = _Series(name, key_of(server), server["metadata"]["uid"], event, first=time, last=time)
        else:
            series.count += 1
            series.last = time
        if not series.queued and series.timer is None:
            if series.due <= now and not self._buckets.take(series.uid, now):
                self._observe("dropped")
                return
            self._write_at(series, series.due)
        self._remember(series)

    async def run(self) -> None:
        """Write queued Events until cancelled."""
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            await self._write_next()
            await asyncio.sleep(self._pause)

    async def drain(self) -> None:
        """Write all waiting Events as fast as the API server accepts them; call it when `run` has ended."""
        for series in self._series.values():
            self._write_now(series)
        while self._queue:
            await self._write_next()

    def _remember(self, series: _Series) -> None:
        self._series[series.name] = series
        self._series.move_to_end(series.name)
        if len(self._series) > REMEMBERED:
            self._write_now(self._series.popitem(last=False)[1])

    def _write_at(self, series: _Series, time: float) -> None:
        loop = asyncio.get_running_loop()
        if time <= loop.time():
            self._enqueue(series)
        else:
            series.timer = loop.call_at(time, self._write_now, series)

    def _write_now(self, series: _Series) -> None:
        """Queue a repeat now that is due later; do nothing when none is due."""
        if series.timer is not None:
            series.timer.cancel()
            self._enqueue(series)

    def _enqueue(self, series: _Series) -> None:
        series.timer, series.queued = None, True
        self._queue.append(series)
        self._wake.set()
        if len(self._queue) > QUEUE_LENGTH:
            self._queue.pop_loudest().queued = False
            self._observe("dropped")

    async def _write_next(self) -> None:
        series = self._queue.pop()
        count = series.count
        result: Result = "failed"
        try:
            await self._api.post_event(_body(series, self._instance))
        except asyncio.CancelledError:
            # It may have been written already, but writing it again changes nothing.
            self._queue.put_back(series)
            raise
        except NamespaceTerminating:
            result = "dropped"
        except (Refused, Conflict, Unavailable) as error:
            log.warning(
                "event not written", **series.key.fields(), reason=series.event.reason, error=str(error)
            )
        else:
            result = "written"
            series.due = asyncio.get_running_loop().time() + REPEAT_SECONDS
        self._observe(result)
        series.queued = False
        if series.count > count and result == "written":
            self._write_at(series, series.due)


def _name(server: Manifest, event: Event) -> str:
    """The name of an Event. Equal events of a server have the same name, even across operator processes."""
    text = "\0".join((server["metadata"]["uid"], *event))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{server['metadata']['name']}.{digest[:16]}"


def _body(series: _Series, instance: str) -> Manifest:
    about = {
        "apiVersion": SERVER.api_version,
        "kind": SERVER.kind,
        "namespace": series.key.namespace,
        "name": series.key.name,
        "uid": series.uid,
    }
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"namespace": series.key.namespace, "name": series.name},
        "involvedObject": about,
        "type": series.event.type,
        "reason": series.event.reason,
        "message": series.event.message[:MESSAGE_LENGTH],
        "action": ACTION,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": instance,
        "firstTimestamp": series.first,
        "lastTimestamp": series.last,
        "count": series.count,
    }
