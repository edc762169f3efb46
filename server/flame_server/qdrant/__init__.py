"""Talks to a Qdrant server that holds indexes: one collection per build, read through an alias.

Start in `connection`: a server, an alias there, and a client for it. A generation is the collection of one
build; `generations` lists those of an alias and moves the alias. `retries` is the client of commands, which
waits while the server is away; `reuse` reads vectors back. Searching is in `search.qdrant`, writing in
`publishing`.

May import `index`, `embedding` and the top-level modules. qdrant_client is imported only when it is used
(40 MiB).
"""
