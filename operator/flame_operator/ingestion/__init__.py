"""Loads docs into Qdrant with Jobs: the step "load" of a pass.

A run is one such Job; its containers execute `flame-mcp index fetch`, `build` and `publish`. Start in
`runs`: it decides which run is due, a first one, a scheduled one, or another try after a failure and how
long to wait before it; it is pure. `copies` does the same for runs that copy collections to Qdrant's peers.
`changed_sources` adds the loads that ConfigMaps ask for by a change, `old_jobs` tells what to remove.
`record` is what the status remembers of runs between passes. `pipeline` starts, follows and removes Jobs.
`turns` limits how many resources load docs at once.

May import `desired` (the Job's manifest), `workloads`, `informer` and `api`.
"""
