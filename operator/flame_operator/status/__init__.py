"""Reports on a resource in its status and in Kubernetes Events: the step "report" of a pass.

Start in `conditions`: it computes all conditions except IndexReady's special cases, which are in `index`.
`outcome` is the input of both: what a pass has found and done. `events` decides which Events a change is
worth. All these are pure. `reporter` writes the status when it has changed, `recorder` writes the Events.
`diagnosis` reads the pods when none is ready, and has `workloads.causes` find the reason. `unsupported`
lists fields that this cluster or installation has no support for.

May import `changes`, `ingestion`, `references` and `workloads`, for their results; not `verification`,
which imports this room.
"""
