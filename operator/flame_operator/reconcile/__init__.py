"""Holds the work queue, and the reconciler that makes one pass over one resource.

Start in `reconciler`, which has the steps of a pass in their order: look, resolve, desire, plan, act, load,
verify, report. Each step is a call into the room of that step. `resolver` calls `references` and `rollouts`
and puts their answers into `desired.inputs`. `revisit` tells when the next pass is due without an event.
`queue` hands out keys (namespace and name), one worker for a key at a time, fair to namespaces;
`pauses` keeps a key that changes all the time from coming again at once.

May import the room of every step.
"""
