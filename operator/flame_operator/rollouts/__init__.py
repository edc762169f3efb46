"""Whose pods may be replaced next, when a Secret that many servers share has changed.

`pacer` gives turns to a few servers of a namespace at a time. `rollouts` decides for one server and is
what a pass calls.

May import `references` (digests) and `workloads`. Start with `rollouts`.
"""
