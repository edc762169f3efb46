"""`flame-operator run`: operates a cluster."""

import asyncio
import gc
import sys

import click
import structlog

from flame_operator.commands.common import configured, fail
from flame_operator.errors import Blind, LostLease, UserError


@click.command()
@click.option(
    "--namespace", "-n", "namespaces", multiple=True, help="Serve only this namespace; may be repeated."
)
@click.option(
    "--liveness-port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Answer GET /healthz and /readyz on this port; 0 switches it off.",
)
def run(namespaces: tuple[str, ...], liveness_port: int) -> None:
    """Operate the cluster that this process runs in, or that KUBECONFIG names.

    Settings are environment variables FLAME_OPERATOR_*, for example FLAME_OPERATOR_SERVER_IMAGE.
    """
    # Other commands need neither kopf nor the API client, which take half a second to load.
    from flame_operator import app  # noqa: PLC0415
    from flame_operator.telemetry import logs  # noqa: PLC0415

    settings = configured()
    logs.configure_logging(settings)
    # What was imported stays: the garbage collector needn't look at it again and again.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        asyncio.run(app.run(settings, namespaces=tuple(sorted(set(namespaces))), liveness_port=liveness_port))
    except UserError as error:
        fail(str(error))
    except (LostLease, Blind) as error:
        structlog.get_logger(__name__).error("the operator ends, to start afresh", reason=str(error))
        sys.exit(1)
    except Exception:  # noqa: BLE001 - the last stop before the process ends: it must be in the log
        structlog.get_logger(__name__).exception("the operator ends; its next start repeats nothing")
        sys.exit(1)
