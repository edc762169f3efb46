"""The work queue, and one pass over one server.

`queue` hands out keys, fair to every namespace. `reconciler` makes one pass: look, resolve, desire, plan,
act, load, verify, report. Each step is a call into the room of that step; `resolver` gathers what decides
about the children, and `revisit` says when the next pass is due.

May import every room of a step. Start with `reconciler`.
"""
