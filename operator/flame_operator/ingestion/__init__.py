"""Loads docs into vector stores with Jobs: the step "load" of a pass.

`runs` decides which run is due, from what has run before; it is pure. `record` holds what the status
remembers of runs. `pipeline` starts, follows and removes Jobs. `turns` limits how many servers load docs at
once.

May import `desired` (the Job's manifest), `workloads`, `informer` and `api`. Start with `runs`.
"""
