"""Sets up logging: one line per event on standard error, including the messages of kopf."""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from flame_operator.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send the lines of all loggers to standard error, in the format and at the level of the settings."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # As plain text: structlog's richer formats print local variables, which may hold secrets.
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
            foreign_pre_chain=[*shared, _add_kopfs_resource],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    # kopf logs one line per event, probe and login, which is wanted only at level debug.
    chatter = "DEBUG" if settings.log_level == "debug" else "WARNING"
    for name in ("kopf.objects", "kopf.activities"):
        logging.getLogger(name).setLevel(chatter)
    logging.getLogger("asyncio").addFilter(_is_no_end_of_a_watch)


def _is_no_end_of_a_watch(record: logging.LogRecord) -> bool:
    """Whether to keep a line of asyncio: every line but the complaint about an interrupted watch of kopf.

    A generator of kopf can't be closed while it delivers an event. That does no harm, but with asyncio's
    complaint about it every shutdown of a busy operator would look like a failure.
    """
    return "object infinite_watch" not in record.getMessage()


def _add_kopfs_resource(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's type
    """Add the fields `namespace` and `name`, as our own lines have them, to kopf's lines about an object."""
    reference = getattr(event.get("_record"), "k8s_ref", None) or {}
    for field in ("namespace", "name"):
        if field in reference:
            event.setdefault(field, reference[field])
    return event
