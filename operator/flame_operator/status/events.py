"""Decides which Kubernetes Events to record for a change of status. Pure."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from flame_operator.resource.kinds import Manifest

READY = "Ready"
TOOLS_CHANGED = "ToolsChanged"
PUBLISHED = "IndexPublished"
INDEX_TROUBLE = {"IngestionFailed", "IndexHeldBack", "IndexStale"}
INTENDED = {"ScaledToZero"}
"""Reasons that aren't warnings, because a user has asked for that state."""
LISTED_TOOLS = 10


class Event(NamedTuple):
    """The type, reason and message of a Kubernetes Event about a server."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def transitions(old: Manifest, new: Manifest) -> tuple[Event, ...]:
    """The Events for a change of status; there are none while a new server is starting up.

    Args:
        old: The status before; empty for none.
        new: The status after.
    """
    before, after = _conditions(old), _conditions(new)
    found = (
        *_ready(before, after),
        *_turned_bad(before, after, "Stalled", "True"),
        *_turned_bad(before, after, "Verified", "False"),
        *_index(before, after),
        *_published(old, new),
        *_tools(old, new),
    )
    # Ready repeats the reason of the condition that makes it fail: one cause gets a single Event.
    events: dict[str, Event] = {}
    for event in found:
        events.setdefault(event.reason, event)
    return tuple(events.values())


def _conditions(status: Manifest) -> dict[str, dict[str, str]]:
    return {condition["type"]: condition for condition in status.get("conditions") or []}


def _ready(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> Iterable[Event]:
    was, now = before.get("Ready", {}).get("status"), after.get("Ready", {})
    if now.get("status") == "True" != was:
        yield Event("Normal", READY, now["message"])
    if now.get("status") == "False" and was == "True":
        intended = now["reason"] in INTENDED
        yield Event("Normal" if intended else "Warning", now["reason"], now["message"])


def _turned_bad(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]], kind: str, bad: str
) -> Iterable[Event]:
    was, now = before.get(kind, {}), after.get(kind, {})
    same = (was.get("status"), was.get("reason")) == (now.get("status"), now.get("reason"))
    if now.get("status") == bad and not same:
        yield Event("Warning", now["reason"], now["message"])


def _index(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> Iterable[Event]:
    # If pods aren't ready, IndexReady is False as well, but the Event of Ready already tells that.
    if after.get("IndexReady", {}).get("reason") in INDEX_TROUBLE:
        yield from _turned_bad(before, after, "IndexReady", "False")


def _published(old: Manifest, new: Manifest) -> Iterable[Event]:
    was, now = ((status.get("index") or {}).get("collection", "") for status in (old, new))
    run = new.get("ingestion") or {}
    if now and now != was and run.get("phase") == "Succeeded":
        yield Event("Normal", PUBLISHED, f"{now} is now searched: {run.get('message', '')}")


def _tools(old: Manifest, new: Manifest) -> Iterable[Event]:
    was, now = (set((status.get("server") or {}).get("tools") or ()) for status in (old, new))
    # Once authentication is switched on, the tools are unknown, which is no change of the tools.
    if not was or not now or was == now:
        return
    parts = [
        f"{what} {_listed(names)}" for what, names in (("added", now - was), ("removed", was - now)) if names
    ]
    yield Event("Normal", TOOLS_CHANGED, f"The server's tools changed: {'; '.join(parts)}.")


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:LISTED_TOOLS]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
