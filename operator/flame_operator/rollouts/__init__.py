"""Paces rollouts, so that a changed Secret doesn't restart all the servers that share it at once.

`pacer` gives turns to a few servers of a namespace at a time. `rollouts` decides for one server, and is
what a pass calls.

May import `references` (digests) and `workloads`. Start with `rollouts`.
"""
