"""Keeps a cache of the servers and children in the cluster up to date: the step "look" of a pass.

`watch` runs kopf, and is the only module that knows it. `informer` feeds the `cache` from events and from
`sweep`, the full lists that find what a broken watch has missed. `watch_health` notices a watch that has
gone blind.

May import `api` and `telemetry`. Start with `informer`.
"""
