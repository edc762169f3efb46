"""The spec of a FlameMCPServer as frozen pydantic models.

`crds/flamemcpservers.yaml` is the one source of the schema: a test compares it with these classes both
ways. Rules between fields are the CRD's alone (CEL). Only unions are checked here as well, so that no
code meets a member that is missing.

Start with `server_spec`; `common` has the types that fields are made of.
"""
