"""Cuts answers to a budget of tokens, and says where the next answer continues.

A budget counts the text content of a result, the JSON that the client receives, with all that is in it:
names, addresses, lists and cursors. A token is one of `text.wordpiece.TokenCounter`.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from pydantic import BaseModel

from flame_server.docs.myst.markdown import excerpt, open_fence
from flame_server.serving.tools.arguments import mistake
from flame_server.text.wordpiece import as_sent

Count = Callable[[str], int]
_Model = TypeVar("_Model", bound=BaseModel)
# A smaller part of a passage is useless to a reader, so it waits for the next answer.
SMALLEST_PART = 50
# What a result's names and address may take of a budget. Those of Flame's pages take 100 to 150.
_LEAST_NAMES, _MOST_NAMES = 160, 300
# No token is shorter than a character, and none counts for more than eight bytes.
_MOST_BYTES = 8
_TRIES = 6
_BLANKS = re.compile(r"\s+")


class Part(NamedTuple):
    """Text that fits, and the offset of the rest; None when nothing is left."""

    text: str
    end: int | None


class Place(NamedTuple):
    """Where an answer stopped: the number of the text, from 0, and the character in it."""

    number: int
    at: int


class Content(NamedTuple):
    """A text of an answer: what it has in tokens, as sent, and what the names around it take."""

    text: str
    tokens: int
    names: int = 0


def size(answer: BaseModel, count: Count) -> int:
    """The tokens of an answer, as the client receives it."""
    return count(answer.model_dump_json())


def most_names(budget: int) -> int:
    """How many tokens the names and the address of one result may take."""
    return min(max(budget // 4, _LEAST_NAMES), _MOST_NAMES)


def shortest(versions: Iterable[_Model], most: int, count: Count) -> _Model:
    """The first of several versions of a result, the longest first, that has at most `most` tokens.

    Raises:
        ToolError: None has.
    """
    for version in versions:
        if size(version, count) <= most:
            return version
    raise mistake("max_tokens is too small for the names of this page: give more")


def fit(
    contents: Sequence[Content], budget: int, count: Count, start: int = 0
) -> tuple[list[str], Place | None]:
    """The leading contents that fit into `budget` tokens, the last one cut.

    Args:
        contents: Texts with their token counts, best first.
        budget: Tokens for all of them together, with the names around them.
        count: Counts the tokens of a text.
        start: Offset at which the first text begins.

    Returns:
        The texts, at least a part of one, and where the next answer continues.
    """
    kept: list[str] = []
    left = budget
    for number, (text, tokens, names) in enumerate(contents):
        left -= names
        if start == 0 and tokens <= left:
            part, used = Part(text, None), tokens
        elif kept and left < SMALLEST_PART:
            return kept, Place(number, 0)
        else:
            part = take(text, start, left, count)
            used = count(part.text)
        if kept and part.end is not None and used < SMALLEST_PART:
            return kept, Place(number, 0)
        kept.append(part.text)
        if part.end is not None:
            return kept, Place(number, part.end)
        left -= used
        start = 0
    return kept, None


def fitted(
    contents: Sequence[Content],
    budget: int,
    count: Count,
    start: int,
    made: Callable[[list[str], Place | None], _Model],
) -> _Model:
    """The answer that `made` makes of the contents that fit; it has at most `budget` tokens.

    Counts of parts only almost add up, and those of an index in Qdrant may lie: so the whole is counted, and
    cut again when it is too long.

    Raises:
        ToolError: Not even a word fits.
    """
    sent = [*contents]
    room = budget - size(made([], Place(len(contents), start)), count)

    def counted(text: str) -> int:
        return count(as_sent(text))

    for _ in range(_TRIES):
        kept, place = fit(sent, room, counted, start)
        answer: _Model = made(kept, place)
        over = size(answer, count) - budget
        if over <= 0:
            return answer
        # What was taken from these counts is counted now.
        sent[: len(kept)] = [Content(c.text, counted(c.text), c.names) for c in sent[: len(kept)]]
        room -= over
    raise mistake("max_tokens is too small for this passage: give more")


def take(text: str, start: int, budget: int, count: Count) -> Part:
    """The part of `text[start:]` that fits into `budget` tokens, at least one character.

    It is cut between blocks, else between lines, else between words, else in a word. When a fence is cut,
    this part closes it and the next part opens it again.
    """
    before = open_fence(text[:start]) if start else None

    def between(end: int) -> str:
        return excerpt(text[start:end], before)[0]

    most = start + _MOST_BYTES * max(budget, 1)
    if len(text) <= most and count(between(len(text))) <= budget:
        return Part(between(len(text)), None)
    for ends in _places(text, start):
        # More text has more tokens, so a binary search finds the last end that fits.
        possible = ends[: bisect_right(ends, most)]
        fitting = bisect_right(possible, budget, key=lambda end: count(between(end)))
        if fitting:
            return Part(between(possible[fitting - 1]), possible[fitting - 1])
    # A single word exceeds the budget: cut it.
    characters = range(start + 1, min(most, len(text)))
    fitting = bisect_right(characters, budget, key=lambda end: count(between(end)))
    end = characters[max(fitting - 1, 0)] if characters else start + 1
    return Part(between(end), end)


def _places(text: str, start: int) -> tuple[list[int], list[int], list[int]]:
    """Where `text` may be cut after `start`: after blocks, after lines, after words."""
    blocks: list[int] = []
    lines: list[int] = []
    at = start
    fence = open_fence(text[:start])
    for line in text[start:].split("\n")[:-1]:
        at += len(line) + 1
        fence = open_fence(line, fence)
        lines.append(at)
        if fence is None and not line.strip():
            blocks.append(at)
    words = [start + blank.end() for blank in _BLANKS.finditer(text[start:]) if blank.end() > 0]
    return blocks, lines, words


def leading(texts: Sequence[str], budget: int, count: Count) -> int:
    """How many of the texts fit into `budget` tokens, from the first on."""
    used = 0
    for number, text in enumerate(texts):
        used += count(text)
        if used > budget:
            return number
    return len(texts)
