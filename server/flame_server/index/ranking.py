"""What the embedded engine and a Qdrant server rank alike."""

# Names of a chunk's vectors.
LEXICAL = "lexical"
PASSAGES = "passages"
# The payload fields that a question may be limited by.
GROUP = "group"
VERSION = "version"
# How many of either list the fusion sees. reference: recall@50 of both lists together is 0.956.
CANDIDATES = 50


def unit(score: float) -> float:
    """A score within [0, 1]."""
    return round(min(max(score, 0.0), 1.0), 4)
