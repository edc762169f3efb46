"""Reads Kubernetes quantities such as `500m` or `2Gi`, and compares them as the API server does."""

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

_SUFFIXES = {
    "": Decimal(1), "n": Decimal(10) ** -9, "u": Decimal(10) ** -6, "m": Decimal(10) ** -3,
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}  # fmt: skip
LONGEST = 128
"""How many characters a quantity may have: Python's numbers have no bound of their own."""
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3})|(n|u|m|k|[KMGTPE]i?)?)", re.ASCII)

# The API server caps every quantity at _MOST and rounds it up to a multiple of _FINEST.
_MOST = Decimal(2**63 - 1)
_FINEST = Decimal("0.001")


@lru_cache(maxsize=1024)  # a pass parses about a dozen, nearly always the same ones
def parse_quantity(text: str | int) -> Decimal | None:
    """The exact value of a quantity, or None when `text` isn't one."""
    if abs(text) >= 10**LONGEST if isinstance(text, int) else len(text) > LONGEST:
        return None
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[3] not in (None, *_SUFFIXES):
        return None
    number, exponent, suffix = match.groups()
    return Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""])


def same_quantity(one: str | int, other: str | int) -> bool:
    """Whether the API server stores both as the same amount: it caps them and rounds up to thousandths."""
    kept = [
        amount if amount is None else max(-_MOST, min(amount, _MOST)).quantize(_FINEST, ROUND_CEILING)
        for amount in map(parse_quantity, (one, other))
    ]
    return kept[0] is not None and kept[0] == kept[1]


def is_smaller(one: str | int, other: str | int) -> bool:
    """Whether one quantity is less than another; not when one of them isn't a quantity."""
    first, second = map(parse_quantity, (one, other))
    return first is not None and second is not None and first < second
