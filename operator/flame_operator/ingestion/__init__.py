"""Loading docs into vector stores: the step "load".

`runs` decides which Job is due, from what has run before; it is pure. `record` is what the status
remembers of runs. `pipeline` starts, follows and removes Jobs. `turns` bounds how many servers load at
once.

May import `desired` (the Job's manifest), `workloads`, `informer` and `api`. Start with `runs`.
"""
