"""Reads the state of Deployments, StatefulSets, Jobs, pods, claims and Events from live objects. Pure.

Start in `deployments`: it counts pods and tells how far a rollout is. `jobs` tells how a run ended, or how
far it is. `causes` tells users why pods don't come or aren't ready, whatever child makes them; `words` makes
what others have written short and stable.

May import `resource` and `formats`.
"""
