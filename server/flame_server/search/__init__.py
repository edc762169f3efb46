"""Searches an index: in this process or in a Qdrant server, with the same ranking.

Start in `service`: `SearchService` is what servers and commands use. `local` and `qdrant` implement it,
`query` has what both do before they search, and `factory` opens the one that the settings ask for.
`results` is the shape of answers, `pages` puts pages together from chunks, `evaluate` measures the quality
of answers.

May import `qdrant`, `index`, `embedding`, `docs` and `text`. Knows nothing of HTTP or MCP.
"""
