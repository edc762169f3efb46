"""Finds out why pods don't come or don't get ready: those of the server, of its Qdrant and of runs.

Start in `diagnosis`: it reads what isn't watched, pods, volume claims and Events, with a few small requests a
child, and only for children that aren't as the spec says. `workloads.causes` decides what they mean.

May import `desired` (the labels of pods), `workloads` and `api`.
"""
