"""The checks that every HTTP request passes before it reaches MCP.

Start in `stack`, which puts them in order, the cheapest first: `access_log`, `hosts` (DNS rebinding),
`limits` (size and time), `gate` (authentication with `auth` or `oidc`, then the rate limit of `rates`),
`limits` again (number) and `envelope` (JSON-RPC). Each is an ASGI middleware of its own and answers refusals
itself, in the JSON shape of `replies`. `accept` gives clients the form of an answer that they take.

May import `serving.metrics`, `settings` and `credentials`; knows nothing of tools or of the index.
"""
