"""Resolves references, the Secrets and ConfigMaps that specs name: the step "resolve" of a pass.

`lookup` polls each of them by name, and reports when one changes; `resolved` holds the result for a server.
`digests` makes keyed digests, so that no value is kept. `tokens` generates tokens and keys. `poll_schedule`
spreads the reads over time.

May import `desired` (which references a server has). Start with `lookup`.
"""
