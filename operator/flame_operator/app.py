"""Runs the operator: connects to the cluster, serves probes and metrics, starts what the factory makes."""

import asyncio
import importlib.metadata
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from flame_operator.api.transport import connect
from flame_operator.factory import Factory
from flame_operator.resource.kinds import MANAGER
from flame_operator.settings import Settings
from flame_operator.telemetry import health
from flame_operator.telemetry.health import Answer, Endpoints
from flame_operator.telemetry.metrics import CONTENT_TYPE, Metrics


async def run(settings: Settings, *, namespaces: Sequence[str] = (), liveness_port: int = 0) -> None:
    """Run the operator until SIGTERM or SIGINT, then finish the work that has begun.

    Args:
        settings: The operator's settings.
        namespaces: Which namespaces to watch; empty means all.
        liveness_port: The port for probes; 0 disables them.

    Raises:
        UserError: The cluster can't be used as it is; the message says what is missing.
        LostLease: Another operator process may lead.
        Blind: The watch has stopped delivering.
        Exception: Any other error ends the process; the next starts from fresh lists and repeats no write.
    """
    stop = asyncio.Event()
    take_signals = partial(_take_signals, stop)
    take_signals()
    version = importlib.metadata.version("flame-mcp-operator")
    agent, metrics = f"{MANAGER}/{version} ({settings.pod_name})", Metrics(version=version)
    async with AsyncExitStack() as stack:
        connecting = connect(concurrency=settings.api_concurrency, user_agent=agent, metrics=metrics)
        transport = await stack.enter_async_context(connecting)
        factory = Factory(settings, transport, metrics, namespaces)
        metrics.show_leader(lambda: factory.election.valid_for() > 0)
        await stack.enter_async_context(health.serve(liveness_port, _probes(factory)))
        await stack.enter_async_context(health.serve(settings.metrics_port, _page(metrics)))
        background = factory.background(watch_started=take_signals)
        await factory.lifecycle.run(stop, factory.prime, background)


def _probes(factory: Factory) -> Endpoints:
    def alive() -> Answer:
        return health.liveness(factory.vitals(), queue=factory.queue.depth, objects=len(factory.cache))

    return {"/healthz": alive, "/readyz": lambda: health.readiness(factory.vitals())}


def _page(metrics: Metrics) -> Endpoints:
    return {"/metrics": lambda: Answer(200, CONTENT_TYPE, metrics.render())}


def _take_signals(stop: asyncio.Event) -> None:
    """Make SIGTERM and SIGINT set `stop`; to be called again after kopf has installed its own handlers."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
