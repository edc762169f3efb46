"""Anchors of sections, made as docs.flame-engine.org makes them.

The site is built by Sphinx, whose ids come from docutils: `make_id` of the heading's plain text, and `id1`,
`id2`... for a heading that repeats or has no usable character (docutils/nodes.py: `make_id`, `set_id`).
"""

import re
import unicodedata

# A longer one would fill the address of every result; a link to it leads to the top of the page instead.
MAX_ANCHOR_CHARS = 200
_NON_ID = re.compile(r"[^a-z0-9]+")
_NON_ID_ENDS = re.compile(r"^[-0-9]+|-+$")
# Letters that docutils replaces although Unicode has no decomposition for them.
_SPELLED = str.maketrans(
    {"ß": "sz", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ħ": "h", "\u0131": "i", "ł": "l", "ŧ": "t"}
)


def make_id(text: str) -> str:
    """The id of a heading's plain text; empty when no character may be part of an id."""
    lowered = text.lower().translate(_SPELLED)
    ascii_text = unicodedata.normalize("NFKD", lowered).encode("ascii", "ignore").decode("ascii")
    return _NON_ID_ENDS.sub("", _NON_ID.sub("-", " ".join(ascii_text.split())))


class PageAnchors:
    """Assigns the anchors of one page, in the order of its headings."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counter = 0

    def next(self, text: str) -> str:
        """The anchor of the page's next heading, unique on the page."""
        anchor = make_id(text)[:MAX_ANCHOR_CHARS]
        while not anchor or anchor in self._taken:
            self._counter += 1
            anchor = f"id{self._counter}"
        self._taken.add(anchor)
        return anchor
