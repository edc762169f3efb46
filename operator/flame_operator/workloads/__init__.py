"""Reads the state of Deployments, StatefulSets, Jobs and pods. Pure.

`deployments` counts pods and tells how far a rollout is, `jobs` tells how a run ended or how far it is, and
`causes` tells users why pods aren't ready. The output of containers is bounded here.

May import `resource` and `formats`. Start with `deployments`.
"""
