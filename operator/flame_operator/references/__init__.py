"""The Secrets and ConfigMaps that specs name: the step "resolve".

`lookup` reads each by name, now and then, and tells when one changes; `resolved` is what that came to.
`digests` makes keyed digests, so that no value is kept. `tokens` generates tokens and keys.
`poll_schedule` spreads the reads.

May import `desired` (which references a server has). Start with `lookup`.
"""
