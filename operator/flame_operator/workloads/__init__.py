"""Reads the state of Deployments, StatefulSets, Jobs and pods from live objects. Pure.

Start in `deployments`: it counts pods and tells how far a rollout is. `jobs` tells how a run ended, or how
far it is. `causes` tells users why pods aren't ready. Texts that containers have written are cut to a
bounded length here.

May import `resource` and `formats`.
"""
