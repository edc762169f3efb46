"""Flame MCP's search server: answers questions about the Flame game engine from its docs.

Each package says in its docstring what it is for, what it may import and where to start. From top to bottom,
and imports go only downwards: `commands` (the command line), `diagnostics`, `serving` (the running server)
beside `publishing` (changes what Qdrant serves), `search`, `qdrant`, `index`, `embedding` beside `docs`,
`text` beside `sources`. Settings, credentials, logs and errors are below all of them; `data` holds files.
"""
