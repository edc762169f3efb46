"""Makes words of the cluster and of containers fit for a status: short, the same while the cause is. Pure."""

import json
import re
from typing import Any

from flame_operator.formats.shape import mapping, text
from flame_operator.formats.text import plain

MAX_MESSAGE = 600
"""How many characters of a message of a pod, of an Event or of a container are passed on."""
MAX_NAME = 63
MAX_LAST_WORDS = 4096
"""How many characters of a container's last words are looked at, from the end; the kubelet keeps 2 KiB."""
_LONGEST_LINE = 300
# What differs from try to try though the cause is the same. No pattern can take longer than its text is long.
_TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]{0,12}(?:Z|[+-]\d\d:?\d\d)?")
_COLORS = re.compile(r"\x1b\[[\d;]{0,20}[A-Za-z]")
_IDS = re.compile(
    r"\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32,64}|0x[0-9a-f]{4,16})\b"
)
_BEGINNING = re.compile(
    r"^(?:Error creating: |create (?:Pod|Claim) [\w.-]{1,253} (?:for Pod [\w.-]{1,253} )?"
    r"in StatefulSet [\w.-]{1,253} failed error: )",
    re.IGNORECASE,
)
_NEW_OBJECT = re.compile(r'^\w{1,30} "[^"]{1,253}" is (?:forbidden: |(?=invalid))', re.IGNORECASE)
_USED = re.compile(r", used: [^:]{1,300}(?=, limited: )")
_RPC = re.compile(r"rpc error: code = \w{1,40} desc = ")
_NODES = re.compile(r"^\d+/\d+ nodes are available: ")
_COUNTS = re.compile(r"(?:^|(?<=[,.] ))\d+ (?=[A-Za-z])")
_TELLS = re.compile(r"error|panic|fatal|denied|fail|cannot|can't|unable|refused|no space", re.IGNORECASE)


def stable(message: object) -> str:
    """A message of the cluster, on one line, without what differs each time that it is told."""
    said = plain(message, MAX_MESSAGE)
    for pattern in (_TIMES, _RPC, _USED, _BEGINNING, _NEW_OBJECT):
        said = pattern.sub("", said)
    return _IDS.sub("...", said).strip()


def of_scheduler(message: object) -> str:
    """What the scheduler says, but not of how many nodes: that changes with the cluster's size."""
    said = _NODES.sub("", plain(message, MAX_MESSAGE)).partition(" preemption: ")[0]
    return _COUNTS.sub("", said).strip()


def last_words(message: object) -> str:
    """The line of a container's last output that tells most of its end; "" when there is none."""
    lines = [line for line in text(message)[-MAX_LAST_WORDS:].splitlines() if line.strip()]
    telling = [line for line in lines if _TELLS.search(line)] or lines
    if not telling:
        return ""
    said = _TIMES.sub("", _COLORS.sub("", _of_json(telling[-1])))
    return plain(_IDS.sub("...", said).strip(" -:|"), _LONGEST_LINE)


def _of_json(line: str) -> str:
    """What a line of a log in JSON says; any other line as it is."""
    found = parsed(line) if line.lstrip().startswith("{") else None
    error = mapping(found).get("error")
    parts = (
        mapping(found).get("event"),
        mapping(error).get("message") or error,
        mapping(found).get("message"),
    )
    return ": ".join(part for part in parts if isinstance(part, str) and part) or line


def parsed(message: str) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value in a message; None when it holds none."""
    try:
        return json.loads(message)
    except (ValueError, RecursionError):  # brackets within brackets, thousands of them
        return None
