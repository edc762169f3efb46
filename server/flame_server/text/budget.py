"""Answers within a budget of tokens."""

from collections.abc import Callable

from flame_server.docs.markdown import split_blocks

# Less of a passage than this tells a reader nothing: it is left out instead.
_SMALLEST_PART = 50


def fit(contents: list[tuple[str, int]], budget: int, count: Callable[[str], int]) -> tuple[list[str], bool]:
    """The leading contents that fit into `budget` tokens, the last one cut between paragraphs.

    Fences stay whole. When not even the first paragraph fits, its words are cut, so that there is an answer.

    Args:
        contents: Texts with their token counts, best first.
        budget: Tokens for all of them together.
        count: Counts the tokens of a text.

    Returns:
        The texts, and whether anything was left out.
    """
    kept: list[str] = []
    left = budget
    for text, tokens in contents:
        if tokens <= left:
            kept.append(text)
            left -= tokens
            continue
        part = _leading_blocks(text, left, count)
        if part and (count(part) >= _SMALLEST_PART or not kept):
            kept.append(part)
        elif not kept:
            kept.append(_leading_words(split_blocks(text)[0], left, count))
        return kept, True
    return kept, False


def _leading_blocks(text: str, budget: int, count: Callable[[str], int]) -> str:
    part = ""
    for block in split_blocks(text):
        longer = f"{part}\n\n{block}" if part else block
        if count(longer) > budget:
            break
        part = longer
    return part


def _leading_words(block: str, budget: int, count: Callable[[str], int]) -> str:
    if block.lstrip(" >").startswith(("```", "~~~")):
        return block
    words = block.split(" ")
    low, high = 1, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(" ".join(words[:middle])) <= budget else (low, middle - 1)
    return " ".join(words[:low]) + " ..."
