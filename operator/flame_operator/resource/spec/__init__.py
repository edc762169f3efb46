"""Models the spec of a FlameMCPServer with frozen pydantic classes.

`crds/flamemcpservers.yaml` is the single source of the schema; a test compares it with these classes in
both directions. Rules that span several fields are checked by the CRD alone (CEL). Unions are the
exception: they are checked here as well, so that no code meets a missing member.

Start in `server_spec`; `common` has the types that fields are made of.
"""
