"""Names that pages and folders give: which ones may stand beside the server's own words, and how long."""

import re

# What a page says may stand in answers, as quoted text. Names of groups and versions also stand in the tools'
# own descriptions, which models trust: a name without blanks can hardly say anything there.
_SAFE = re.compile(r"[A-Za-z0-9._-]{1,40}")
GENERAL = "general"
MAX_NAME_CHARS = 200
# A longer path is refused: no tool takes it as an argument, and each result repeats it.
MAX_PATH_CHARS = 200


def is_safe(name: object) -> bool:
    """Whether a group or version with this name may stand in the definition of a tool."""
    return isinstance(name, str) and _SAFE.fullmatch(name) is not None


def group_of(path: str) -> str:
    """The part of the docs that a page belongs to: its first folder, or `general`."""
    folder, slash, _ = path.partition("/")
    return folder if slash and is_safe(folder) else GENERAL


def bounded(text: str, most: int = MAX_NAME_CHARS) -> str:
    """The text, cut to `most` characters; the last one then says that something is missing."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
