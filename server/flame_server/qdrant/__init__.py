"""Talking to a Qdrant server that holds indexes: one collection a build, read through an alias.

Start in `connection`: a server, an alias there, and a client for it. `retries` is the client of commands,
which waits while the server is away; `generations` lists the collections of an alias; `reuse` reads vectors
back. Searching is in `search.qdrant`, writing in `publishing`.

May import `index`, `embedding` and the top-level modules. qdrant_client is imported only when it is used (40
MiB).
"""
