"""Looks up the Secrets and ConfigMaps that specs name: the step "resolve" of a pass.

Start in `lookup`: it reads each of them by name, on the schedule of `poll_schedule`, and reports when one
changes. `objects` is what it remembers of each, `resolved` the result for one resource. `digests` makes
keyed digests of values, to notice a change without keeping the value. `tokens` generates bearer tokens and
keys.

May import `desired` (which references a resource has).
"""
