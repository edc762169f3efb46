"""The index: built from docs, kept as plain files, queried with the embedded Qdrant engine.

Start in `build` (one source) or `build_from_sources` (what `index fetch` wrote); `first_build` makes the
index of a server that has none. `manifest` says what an index is made of, `files` reads and writes its
data, `store` runs one query on the local files (`search.local` makes answers of it), `ranking` holds what
every engine must rank alike, `versions` keeps several versions of the docs, `reuse` avoids embedding the
same text twice, `verify` checks an index.

May import `docs`, `embedding`, `sources` and `text`.
"""
