"""Holds the typed model of the FlameMCPServer resource, and the Kubernetes kinds around it.

`server` turns an API object into a `Server`; `spec` has the fields; `unions` returns the members of unions
that are in effect. `kinds` names kinds and children, `ownership` tells which server an object belongs to,
and `annotations` lists the operator's own annotations. `status` has the parts of the status that several
rooms use, and `reasons` every reason that a condition may give.

May import `formats`. Start with `server`.
"""
