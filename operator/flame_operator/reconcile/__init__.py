"""Holds the work queue and the reconciler, whose pass over a server brings it to its desired state.

`queue` hands out keys, fair to every namespace. `reconciler` runs one pass: look, resolve, desire, plan, act,
load, verify, report. Each step is a call into the room of that step; `resolver` gathers the facts that decide
about the children, and `revisit` tells when the next pass is due.

May import every room of a step. Start with `reconciler`.
"""
