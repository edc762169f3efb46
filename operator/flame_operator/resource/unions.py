"""The members of the spec's unions that count: a member beside another `type` means nothing."""

from flame_operator.resource.server import Server
from flame_operator.resource.spec.access import OIDC
from flame_operator.resource.spec.backends import AzureOpenAI, External, Managed, OpenAI, WorkloadIdentity


def azure_openai(server: Server) -> AzureOpenAI | None:
    """The Azure OpenAI deployment that embeds questions, if one does."""
    embedding = server.spec.embedding
    return embedding.azure_openai if embedding.type == "AzureOpenAI" else None


def openai(server: Server) -> OpenAI | None:
    """The OpenAI-compatible endpoint that embeds questions, if one does."""
    embedding = server.spec.embedding
    return embedding.openai if embedding.type == "OpenAI" else None


def workload_identity(server: Server) -> WorkloadIdentity | None:
    """The identity that pods have instead of a key, if they have one."""
    azure = azure_openai(server)
    return azure.workload_identity if azure else None


def external_qdrant(server: Server) -> External | None:
    """The Qdrant server of somebody else, if vectors are there."""
    store = server.spec.vector_store
    return store.external if store.type == "External" else None


def managed_qdrant(server: Server) -> Managed | None:
    """The Qdrant server of its own, if it has one."""
    store = server.spec.vector_store
    return (store.managed or Managed()) if store.type == "Managed" else None


def loads_docs(server: Server) -> bool:
    """Whether Jobs load docs into the vector store."""
    return server.spec.vector_store.type == "Managed" or server.spec.ingestion is not None


def oidc(server: Server) -> OIDC | None:
    """The issuer of the clients' tokens, if one is trusted."""
    auth = server.spec.auth
    return auth.oidc if auth.type == "OIDC" else None


def generates_token(server: Server) -> bool:
    """Whether the operator makes the Secret with the bearer token, as the user names none."""
    auth = server.spec.auth
    return auth.type == "Bearer" and (auth.bearer is None or auth.bearer.token_secret_ref is None)
