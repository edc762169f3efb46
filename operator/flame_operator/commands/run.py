"""Implements `flame-operator run`, which runs the operator."""

import asyncio
import gc
import sys

import click
import structlog

from flame_operator.commands.common import configured, fail
from flame_operator.errors import Blind, LostLease, UserError

MOST_LEVELS = 20_000
"""How deep calls may nest, which in older versions of Python bounds how deep JSON may be."""


@click.command()
@click.option(
    "--namespace", "-n", "namespaces", multiple=True, help="Watch only this namespace; may be repeated."
)
@click.option(
    "--liveness-port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Serve GET /healthz and /readyz on this port; 0 disables them.",
)
def run(namespaces: tuple[str, ...], liveness_port: int) -> None:
    """Run the operator in the cluster that this process runs in, or that KUBECONFIG names.

    Settings are environment variables FLAME_OPERATOR_*, for example FLAME_OPERATOR_SERVER_IMAGE.
    """
    # Other commands need neither kopf nor the API client, which take half a second to load.
    from flame_operator import app  # noqa: PLC0415
    from flame_operator.telemetry import logs  # noqa: PLC0415

    # The API server takes objects that are 10,000 levels deep, and anybody may write one.
    sys.setrecursionlimit(MOST_LEVELS)
    settings = configured()
    logs.configure_logging(settings)
    # Imported modules stay in memory: the garbage collector needn't examine them again and again.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        asyncio.run(app.run(settings, namespaces=tuple(sorted(set(namespaces))), liveness_port=liveness_port))
    except UserError as error:
        fail(str(error))
    except (LostLease, Blind) as error:
        structlog.get_logger(__name__).error("the operator exits, to be started afresh", reason=str(error))
        sys.exit(1)
    except Exception:  # noqa: BLE001 - nothing else logs it before the process ends
        structlog.get_logger(__name__).exception("the operator exits; its next start repeats no write")
        sys.exit(1)
