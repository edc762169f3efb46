"""What a refusal is about: the number of texts, the format of vectors, or something that is to be told."""

import re
from typing import Literal

About = Literal["size", "format", ""]
MAY_BE_SIZE = (400, 413, 422)
_MAY_BE_FORMAT = (400, 415, 422, 500, 501)
_FORMAT = re.compile(r"(?i)encoding[ _-]?format|base64|\bfloats?\b")
_SIZE = re.compile(
    r"(?i)batch|too (?:many|large|long|big)|(?:larger|more|greater|longer) than|at most|maxim|exceed|limit"
    r"|\blength|\bsize|array"
)


def about(status: int, words: str) -> About:
    """What a refusal is about, by the status and the service's words; empty if nothing says so."""
    if status in _MAY_BE_FORMAT and _FORMAT.search(words):
        return "format"
    if status == 413 or (status in MAY_BE_SIZE and _SIZE.search(words)):
        return "size"
    return ""


def another_format_may_do(status: int, found: About, *, settled: bool) -> bool:
    """Whether to ask again in another format. While none was taken yet, unclear refusals may be about it."""
    return found == "format" or (not settled and not found and status in (400, 422))
