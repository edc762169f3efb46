"""Returns the members of the spec's unions that are in effect: those that their `type` names."""

from flame_operator.resource.server import Server
from flame_operator.resource.spec.access import OIDC
from flame_operator.resource.spec.backends import AzureOpenAI, External, Managed, OpenAI, WorkloadIdentity


def azure_openai(server: Server) -> AzureOpenAI | None:
    """The Azure OpenAI deployment that makes the embeddings, or None."""
    embedding = server.spec.embedding
    return embedding.azure_openai if embedding.type == "AzureOpenAI" else None


def openai(server: Server) -> OpenAI | None:
    """The OpenAI-compatible endpoint that makes the embeddings, or None."""
    embedding = server.spec.embedding
    return embedding.openai if embedding.type == "OpenAI" else None


def workload_identity(server: Server) -> WorkloadIdentity | None:
    """The Azure identity that pods use instead of an API key, or None."""
    azure = azure_openai(server)
    return azure.workload_identity if azure else None


def external_qdrant(server: Server) -> External | None:
    """The Qdrant that somebody else runs and that keeps the vectors, or None."""
    store = server.spec.vector_store
    return store.external if store.type == "External" else None


def managed_qdrant(server: Server) -> Managed | None:
    """The settings of the Qdrant that the operator runs for this server, or None."""
    store = server.spec.vector_store
    return (store.managed or Managed()) if store.type == "Managed" else None


def loads_docs(server: Server) -> bool:
    """Whether the operator runs Jobs that load docs into the server's vector store."""
    return server.spec.vector_store.type == "Managed" or server.spec.ingestion is not None


def oidc(server: Server) -> OIDC | None:
    """The OpenID Connect issuer whose tokens clients need, or None."""
    auth = server.spec.auth
    return auth.oidc if auth.type == "OIDC" else None


def generates_token(server: Server) -> bool:
    """Whether the operator generates the bearer token, because the spec names no Secret that holds one."""
    auth = server.spec.auth
    return auth.type == "Bearer" and (auth.bearer is None or auth.bearer.token_secret_ref is None)
