"""Holds the typed model of the FlameMCPServer resource, and the Kubernetes kinds around it.

Start in `server`, which turns an API object into a `Server`. `spec` has the fields. `unions` answers which
member of a union field is in effect, for example which vector store. `kinds` lists the kinds and names of
children, `ownership` finds the resource that an object belongs to, `annotations` has the operator's own
annotations, `reasons` every reason that a condition may give, and `status` the types of status fields that
several rooms use.

May import `formats`.
"""
