"""What Deployments, StatefulSets, Jobs and pods tell of themselves. Pure.

`deployments` counts pods and tells how a rollout stands, `jobs` how a run ended or how far it is,
`causes` why pods aren't ready, in words for the user. What containers say is bounded here.

May import `resource` and `formats`. Start with `deployments`.
"""
