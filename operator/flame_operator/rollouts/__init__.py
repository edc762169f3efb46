"""Paces rollouts, so that a changed Secret doesn't restart all the servers that share it at once.

Start in `rollouts`, which a pass calls in the step "resolve": it decides whether one server's pods get the
new digest of their Secrets now. `pacer` gives turns to a few servers of a namespace at a time. After a
restart, rollouts that are under way count again.

May import `references` (digests) and `workloads`.
"""
