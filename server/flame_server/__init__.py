"""Flame MCP's search server: answers questions about the Flame game engine from its docs.

From top to bottom, and imports go only downwards: `commands` (the command line), `diagnostics`, `serving`
(the running server) beside `publishing` (changes which index Qdrant serves), `search`, `qdrant`, `index`,
`embedding` beside `docs`, `text` beside `sources`. Settings, credentials, logs and errors are below all of
them; `data` holds files.

What the operator tells this program: environment variables FLAME_MCP_* (`settings`) and files with
credentials (`credentials`). What a Job tells the operator: the result and the exit code of
`commands.outcome`.
"""
