"""Names the annotations that the operator puts on its children, and those by which users ask for runs."""

from flame_operator.resource.kinds import GROUP

APPLIED_HASH = f"{GROUP}/applied-hash"
CONFIG_HASH = f"{GROUP}/config-hash"
TASK = f"{GROUP}/task"
TRIGGER = f"{GROUP}/trigger"
INPUTS = f"{GROUP}/inputs"
ATTEMPT = f"{GROUP}/attempt"
"""On a Job: which attempt of its run it is."""
REINDEX = f"{GROUP}/reindex"
"""On a resource: a new value asks for an ingestion now."""
ROLLBACK = f"{GROUP}/rollback"
"""On a resource: the previous index is searched, and nothing new is loaded until this is removed."""
OPERATOR = f"{GROUP}/operator"
"""On a resource: the installation of the operator that handles it, where several have found it."""
KEYS_HASH = f"{GROUP}/keys-hash"
REFERENCES_DIGEST = f"{GROUP}/references-digest"
OWNS_SECRET = f"{GROUP}/owns-secret"
"""On the Service of a server with a generated token: marks that its Secret exists, as none are listed."""
TOKEN_GONE = "token-gone"  # noqa: S105 - a word
"""The value of the references' digest on pods that mustn't start because their token is gone."""
