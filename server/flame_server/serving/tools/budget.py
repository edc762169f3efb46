"""Cuts answers to a budget of tokens, and says where the next answer continues."""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from flame_server.docs.markdown import open_fence

# A smaller part of a passage is useless to a reader, so it waits for the next answer.
_SMALLEST_PART = 50
_BLANKS = re.compile(r"\s+")


class Part(NamedTuple):
    """Text that fits, and the offset of the rest; None when nothing is left."""

    text: str
    end: int | None


class Place(NamedTuple):
    """Where an answer stopped: the number of the text, from 0, and the character in it."""

    number: int
    at: int


def fit(
    contents: Sequence[tuple[str, int]], budget: int, count: Callable[[str], int], start: int = 0
) -> tuple[list[str], Place | None]:
    """The leading contents that fit into `budget` tokens, the last one cut.

    Args:
        contents: Texts with their token counts, best first.
        budget: Tokens for all of them together.
        count: Counts the tokens of a text.
        start: Offset at which the first text begins.

    Returns:
        The texts, at least a part of one, and where the next answer continues.
    """
    kept: list[str] = []
    left = budget
    for number, (text, tokens) in enumerate(contents):
        if start == 0 and tokens <= left:
            part, size = Part(text, None), tokens
        elif kept and left < _SMALLEST_PART:
            return kept, Place(number, 0)
        else:
            part = take(text, start, left, count)
            size = count(part.text)
        if kept and part.end is not None and size < _SMALLEST_PART:
            return kept, Place(number, 0)
        kept.append(part.text)
        if part.end is not None:
            return kept, Place(number, part.end)
        left -= size
        start = 0
    return kept, None


def take(text: str, start: int, budget: int, count: Callable[[str], int]) -> Part:
    """The part of `text[start:]` that fits into `budget` tokens, at least one character.

    It is cut between blocks, else between lines, else between words. When a fence is cut, this part closes it
    and the next part opens it again.
    """
    if count(_between(text, start, len(text))) <= budget:
        return Part(_between(text, start, len(text)), None)
    for ends in _places(text, start):
        # More text has more tokens, so a binary search finds the last end that fits.
        fitting = bisect_right(ends, budget, key=lambda end: count(_between(text, start, end)))
        if fitting:
            return Part(_between(text, start, ends[fitting - 1]), ends[fitting - 1])
    # A single word exceeds the budget: cut it. No token is shorter than a character.
    end = start + max(1, budget - 1)
    return Part(_between(text, start, end), end)


def _between(text: str, start: int, end: int) -> str:
    before, after = open_fence(text[:start]), open_fence(text[:end])
    inner = text[start:end].strip("\n")
    opening = f"{before.line}\n" if before else ""
    closing = f"\n{after.closing}" if after else ""
    return f"{opening}{inner}{closing}"


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
