"""Wires the operator: watch and sweep feed the cache and the queue, workers reconcile."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from flame_operator.cache import Cache
from flame_operator.desired import Defaults
from flame_operator.errors import Conflict, Refused, Unavailable, UserError
from flame_operator.kube import KubeApi, connect
from flame_operator.model import Manifest, key_of
from flame_operator.queue import WorkQueue
from flame_operator.reconcile import Reconciler
from flame_operator.settings import Settings
from flame_operator.sweep import sweep
from flame_operator.watch import watch

log = structlog.get_logger(__name__)


async def run(
    settings: Settings, *, namespaces: Sequence[str] = (), liveness_port: int | None = None
) -> None:
    """Operate until SIGTERM, then finish what has begun.

    Raises:
        UserError: The cluster can't be used as it is; the message says what is missing.
        Exception: Anything else ends the process; the next one starts from fresh lists and repeats no write.
    """
    async with connect(concurrency=settings.api_concurrency) as api:
        cache = Cache()
        queue = WorkQueue(
            Reconciler(api, cache, Defaults(image=settings.server_image)), workers=settings.workers
        )

        def seen(body: Manifest, *, deleted: bool) -> None:
            if cache.drop(body) if deleted else cache.put(body):
                queue.add(key_of(body))

        await _prime(api, cache, namespaces)
        for key in cache.servers():
            queue.add(key)
        log.info("ready", servers=queue.depth, namespaces=list(namespaces) or "all")
        # kopf ends all tasks that are younger than itself, taking them for its own: the workers come first.
        working = asyncio.create_task(queue.run(), name="workers")
        sweeping = asyncio.create_task(_sweep_forever(api, cache, queue, namespaces, settings), name="sweep")
        watching = asyncio.create_task(
            watch(
                seen,
                namespaces=namespaces,
                liveness_endpoint=f"http://0.0.0.0:{liveness_port}/healthz" if liveness_port else None,
                probe=_probe(queue, cache),
            ),
            name="watch",
        )
        try:
            await asyncio.wait({working, sweeping, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _shut_down(queue, working, (sweeping, watching), settings.drain_seconds)


def _probe(queue: WorkQueue, cache: Cache) -> Callable[[], dict[str, Any]]:
    return lambda: {"queue": queue.depth, "objects": len(cache)}


async def _prime(api: KubeApi, cache: Cache, namespaces: Sequence[str]) -> None:
    """Fill the cache before the first decision, so that a restart finds all in place and writes nothing."""
    while True:
        try:
            await sweep(api, cache, namespaces)
        except Refused as error:
            raise UserError(
                f"the operator can't list what it manages: {error}. Install "
                "crds/flamemcpservers.yaml and the operator's RBAC rules, and start it again"
            ) from error
        except Unavailable as error:
            log.warning("waiting for the API server", error=str(error))
        else:
            return


async def _sweep_forever(
    api: KubeApi, cache: Cache, queue: WorkQueue, namespaces: Sequence[str], settings: Settings
) -> None:
    while True:
        await asyncio.sleep(settings.resync_seconds * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load
        try:
            changed = await sweep(api, cache, namespaces)
        except (Refused, Conflict, Unavailable) as error:
            log.warning("sweep failed", error=str(error))
            continue
        log.info("swept", objects=len(cache), missed=len(changed))
        for key in changed:
            queue.add(key)


async def _shut_down(
    queue: WorkQueue, working: asyncio.Task[None], others: Sequence[asyncio.Task[None]], seconds: float
) -> None:
    """End all tasks, give running work `seconds`, and raise what ended any of them unasked."""
    for task in others:
        task.cancel()
    await asyncio.wait(others)
    queue.stop()
    _, late = await asyncio.wait({working}, timeout=seconds)
    if late:
        log.warning("work left undone at shutdown, the next start repeats it", keys=queue.depth)
        working.cancel()
        await asyncio.wait(late)
    for task in (working, *others):
        if not task.cancelled():
            task.result()


def configure_logging(settings: Settings) -> None:
    """Everything, kopf's own messages included, as one line per event on stderr."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # As plain text: structlog's richer forms print local variables, whatever they hold.
        structlog.processors.format_exc_info,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer(colors=False)
    if settings.log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    # One line per event, probe and login: only with debug are they wanted.
    chatter = "DEBUG" if settings.log_level == "debug" else "WARNING"
    for name in ("kopf.objects", "kopf.activities", "aiohttp.access"):
        logging.getLogger(name).setLevel(chatter)
