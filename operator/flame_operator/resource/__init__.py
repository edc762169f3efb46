"""The FlameMCPServer, typed, and the Kubernetes kinds around it.

`server` makes a `Server` of an object; `spec` has the fields; `unions` tells which members count. `kinds`
names kinds and children, `ownership` tells whose an object is, `annotations` are the operator's own.
`status` has parts of the status that several rooms use, `reasons` every reason that a condition may give.

May import `formats`. Start with `server`.
"""
