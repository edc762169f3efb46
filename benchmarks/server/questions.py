"""What the load asks. Pure."""

import random
from collections.abc import Iterator, Sequence
from itertools import cycle

REPEATED = 20
"""How many questions come round again and again."""


def repeated(titles: Sequence[str]) -> Iterator[str]:
    """The same few questions for ever."""
    few = distinct(titles, seed=0)
    return cycle([next(few) for _ in range(REPEATED)])


def distinct(titles: Sequence[str], seed: int) -> Iterator[str]:
    """Questions of usual length that hardly ever repeat: two headings of the docs and a number."""
    chance = random.Random(seed)  # noqa: S311 - the same questions in every run
    while True:
        first, second = chance.choice(titles)[:60], chance.choice(titles)[:60]
        yield f"How do I use {first} together with {second} in level {chance.randrange(10_000)}?"
