"""Logging: everything, kopf's own messages included, as one line per event on standard error."""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from flame_operator.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send every logger there, in the format and at the level that the settings name."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
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
            foreign_pre_chain=[*shared, _add_kopfs_resource],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    # One line per event, probe and login: only with debug are they wanted.
    chatter = "DEBUG" if settings.log_level == "debug" else "WARNING"
    for name in ("kopf.objects", "kopf.activities"):
        logging.getLogger(name).setLevel(chatter)
    logging.getLogger("asyncio").addFilter(_is_no_end_of_a_watch)


def _is_no_end_of_a_watch(record: logging.LogRecord) -> bool:
    """Whether a line of asyncio's is about anything but a watch of kopf's that the end has cut off.

    A generator of kopf's can't be closed while it delivers an event. That does no harm, but every stop of a
    busy operator would look like a failure.
    """
    return "object infinite_watch" not in record.getMessage()


def _add_kopfs_resource(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's type
    """Name the object of kopf's lines about one as our own lines do."""
    reference = getattr(event.get("_record"), "k8s_ref", None) or {}
    for field in ("namespace", "name"):
        if field in reference:
            event.setdefault(field, reference[field])
    return event
