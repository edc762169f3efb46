"""Decides which replica of the operator leads, and runs its process: stand by, lead, drain, hand over.

`election` takes, renews and releases the Lease. `lifecycle` runs the work queue and what feeds it, but only
while this process leads.

May import the work queue of `reconcile`, and `telemetry`. Start with `lifecycle`.
"""
