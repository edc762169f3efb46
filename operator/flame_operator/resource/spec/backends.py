"""Models where vectors come from and where they are kept: embedding, vector store, ingestion."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from flame_operator.formats.cron import is_schedule
from flame_operator.resource.spec.common import (
    BatchSize,
    Dimensions,
    EncodingFormat,
    HttpsUrl,
    HttpUrl,
    Image,
    KeyRef,
    NameRef,
    ObjectName,
    Quantity,
    RelativePath,
    Resources,
    Schedule,
    SiteUrl,
    Spec,
    TimeZone,
    Union,
)


class WorkloadIdentity(Spec):
    """Microsoft Entra workload identity instead of a key."""

    client_id: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[-A-Za-z0-9]+$")] | None = Field(
        default=None, alias="clientID"
    )
    cloud: Literal["Public", "USGovernment", "China"] | None = None


class AzureOpenAI(Spec):
    """An Azure OpenAI deployment that makes embeddings."""

    endpoint: HttpsUrl
    deployment: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]*$")]
    api_version: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z0-9][-a-z0-9]*$")] = (
        "2024-10-21"
    )
    dimensions: Dimensions | None = None
    batch_size: BatchSize | None = None
    encoding_format: EncodingFormat | None = None
    api_key_secret_ref: KeyRef | None = None
    workload_identity: WorkloadIdentity | None = None


class OpenAI(Spec):
    """An endpoint with OpenAI's API that makes embeddings."""

    base_url: HttpUrl = Field(default="https://api.openai.com/v1", alias="baseURL")
    model: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_./:]*$")]
    dimensions: Dimensions | None = None
    batch_size: BatchSize | None = None
    encoding_format: EncodingFormat | None = None
    api_key_secret_ref: KeyRef | None = None


class Embedding(Union):
    """How texts are turned into vectors."""

    type: Literal["Local", "None", "AzureOpenAI", "OpenAI"] = "Local"
    azure_openai: AzureOpenAI | None = Field(default=None, alias="azureOpenAI")
    openai: OpenAI | None = Field(default=None, alias="openAI")


class External(Spec):
    """A Qdrant server that somebody else runs."""

    url: HttpUrl
    api_key_secret_ref: KeyRef | None = None
    collection: (
        Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]*$")] | None
    ) = None
    ca_bundle_config_map_ref: KeyRef | None = None


class Storage(Spec):
    """The volume that each Qdrant pod gets."""

    size: Quantity = "10Gi"
    storage_class_name: ObjectName | None = None


def _comes_due(schedule: str, zone: str | None) -> None:
    if not is_schedule(schedule, zone):
        raise ValueError(
            f"{schedule!r} in time zone {zone or 'UTC'} never comes due; correct the schedule or the zone"
        )


class Snapshots(Spec):
    """When to take snapshots of the collection, and how many to keep."""

    schedule: Schedule
    keep: Annotated[int, Field(ge=1, le=100)] = 7

    @model_validator(mode="after")
    def _schedule_comes_due(self) -> Self:
        _comes_due(self.schedule, None)
        return self


class Managed(Spec):
    """A Qdrant server that the operator runs."""

    replicas: Annotated[int, Field(ge=1, le=16)] = 1
    image: Image | None = None
    storage: Storage = Storage()
    resources: Resources = Resources()
    reclaim_policy: Literal["Retain", "Delete"] = "Retain"
    snapshots: Snapshots | None = None


class VectorStore(Union):
    """Where vectors are kept."""

    type: Literal["Embedded", "External", "Managed"] = "Embedded"
    external: External | None = None
    managed: Managed | None = None


class GitSource(Spec):
    """A git repository with docs."""

    url: HttpsUrl
    ref: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_./]*$")] = (
        "main"
    )
    path: RelativePath = "doc"
    credentials_secret_ref: NameRef | None = None
    ca_bundle_config_map_ref: KeyRef | None = None


class HttpSource(Spec):
    """An archive of docs that is downloaded over HTTPS."""

    url: HttpsUrl
    sha256: Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")] | None = None
    credentials_secret_ref: NameRef | None = None
    ca_bundle_config_map_ref: KeyRef | None = None


class ClaimRef(Spec):
    """A folder on the volume of a PersistentVolumeClaim."""

    claim_name: ObjectName
    path: RelativePath | None = None


class Bundled(Spec):
    """The docs that the server's image carries."""


class Source(Spec):
    """A source of docs: exactly one of the members is set."""

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    type: Literal["Git", "HTTP", "ConfigMap", "PersistentVolumeClaim", "Bundled"] | None = None
    git: GitSource | None = None
    http: HttpSource | None = None
    config_map_ref: NameRef | None = None
    persistent_volume_claim_ref: ClaimRef | None = None
    bundled: Bundled | None = None
    site_url: Annotated[SiteUrl | None, Field(alias="siteURL")] = None


class Ingestion(Spec):
    """The pipeline that loads docs into the vector store."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=16)]
    schedule: Schedule | None = None
    time_zone: TimeZone | None = None
    suspend: bool = False
    take_over: Annotated[str, Field(min_length=1, max_length=192, pattern=r"^[-A-Za-z0-9._/@:]+$")] | None = (
        None
    )
    resources: Resources = Resources()
    history_limit: Annotated[int, Field(ge=0, le=20)] = 3
    minimum_chunks_percent: Annotated[int, Field(ge=0, le=100)] = 90
    deadline_seconds: Annotated[int, Field(ge=60, le=86400)] = 3600

    @model_validator(mode="after")
    def _schedule_comes_due(self) -> Self:
        if self.schedule is not None:
            _comes_due(self.schedule, self.time_zone)
        return self
