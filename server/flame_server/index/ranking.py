"""What the embedded engine and a Qdrant server rank alike."""

# Names of a chunk's vectors.
LEXICAL = "lexical"
PASSAGES = "passages"
ASKS = "asks"
# The payload fields that a question may be limited by, and that of a page's path.
GROUP = "group"
VERSION = "version"
PATH = "source_path"
# How many of either list the fusion sees. A chunk that is missing in one of them counts nothing there, so the
# lists are longer than what is ever shown.
CANDIDATES = 200
# What one point of each list is worth: a BM25 score beside cosines. They are taken as they are. A question
# that shares hardly a word with the docs has low BM25 scores, which must not be stretched until they drown
# what the vectors say, as any fusion does that looks at ranks or at each list's own spread (measured:
# docs/benchmarks.md).
WEIGHTS = {LEXICAL: 0.03, PASSAGES: 1.0, ASKS: 1.0}


def unit(score: float) -> float:
    """A fused score, which has no upper bound, on [0, 1) in the same order."""
    positive = max(score, 0.0)
    return round(positive / (1 + positive), 4)
