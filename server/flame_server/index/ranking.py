"""What the embedded engine and a Qdrant server share, so that both rank chunks alike."""

# Names of the vectors of a chunk, in the engine and in Qdrant: BM25 terms, its passages, and the questions
# that it answers (see docs/expansion.py; stored as "asks").
LEXICAL = "lexical"
PASSAGES = "passages"
ASKS = "asks"
# Payload fields that searches filter by.
GROUP = "group"
VERSION = "version"
PATH = "source_path"
# How many candidates each vector contributes to the fusion. A chunk that is missing in a list scores 0 there,
# so the lists are longer than any answer.
CANDIDATES = 200
# Weights of the raw scores: BM25 scores and cosines. Scores are not normalised: a query that shares hardly a
# word with the docs has low BM25 scores, and fusion by rank or by the spread of each list would inflate them
# until they outweigh the vectors (measured: docs/benchmarks.md).
WEIGHTS = {LEXICAL: 0.03, PASSAGES: 1.0, ASKS: 1.0}


def bounded_score(score: float) -> float:
    """Maps a fused score, which has no upper bound, to [0, 1) and keeps the order."""
    positive = max(score, 0.0)
    return round(positive / (1 + positive), 4)
