"""What the operator has seen of the cluster: the step "look".

`watch` runs kopf, and is the only module that knows it. `informer` feeds the `cache` from events and from
`sweep`, the full lists that find what a broken watch has missed. `watch_health` notices a watch that has
gone blind.

May import `api` and `telemetry`. Start with `informer`.
"""
