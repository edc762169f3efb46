"""Decides which replica of the operator works: stand by, lead, drain, hand over.

Start in `lifecycle`: it runs the work queue and what feeds it, but only while this process leads.
`election` takes, renews and releases the Lease; `api.kube` sends its requests.

May import `reconcile` (the work queue) and `telemetry`.
"""
