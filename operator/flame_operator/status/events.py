"""Which Kubernetes Events a change of status is worth. Pure."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from flame_operator.resource.kinds import Manifest

READY = "Ready"
TOOLS_CHANGED = "ToolsChanged"
PUBLISHED = "IndexPublished"
INDEX_TROUBLE = {"IngestionFailed", "IndexHeldBack", "IndexStale"}
INTENDED = {"ScaledToZero"}
"""Reasons that are no warning, as somebody has asked for them."""
LISTED_TOOLS = 10


class Event(NamedTuple):
    """What happened to a server."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def transitions(old: Manifest, new: Manifest) -> tuple[Event, ...]:
    """What is worth telling of a change of status; nothing of a new server that is on its way.

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
    # Ready repeats the reason of the condition that it fails for: one cause, one event.
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
    # A server whose pods aren't ready hasn't loaded its index either: that is told already.
    if after.get("IndexReady", {}).get("reason") in INDEX_TROUBLE:
        yield from _turned_bad(before, after, "IndexReady", "False")


def _published(old: Manifest, new: Manifest) -> Iterable[Event]:
    was, now = ((status.get("index") or {}).get("collection", "") for status in (old, new))
    run = new.get("ingestion") or {}
    if now and now != was and run.get("phase") == "Succeeded":
        yield Event("Normal", PUBLISHED, f"{now} is searched now: {run.get('message', '')}")


def _tools(old: Manifest, new: Manifest) -> Iterable[Event]:
    was, now = (set((status.get("server") or {}).get("tools") or ()) for status in (old, new))
    # With authentication switched on, the tools are no longer known: that is no change of them.
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
