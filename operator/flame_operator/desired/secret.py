"""Makes the Secret with the generated bearer token."""

from flame_operator.desired.inputs import Facts
from flame_operator.desired.naming import TOKEN_KEY, child
from flame_operator.resource.kinds import SECRET, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import generates_token


def secret(server: Server, facts: Facts) -> Manifest | None:
    """The Secret with the generated token, or None when the user brings a token or none is needed.

    Raises:
        ValueError: The token isn't known. Leaving the Secret out instead would delete the existing one.
    """
    if not generates_token(server):
        return None
    if facts.token is None:
        raise ValueError(f"{server.key}: the generated token has to be known")
    return {**child(SECRET, server), "type": "Opaque", "data": {TOKEN_KEY: facts.token}}
