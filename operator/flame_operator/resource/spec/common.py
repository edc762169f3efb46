"""Holds the types that parts of the spec are built from: bounded text, references, quantities, unions."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class Spec(BaseModel):
    """The base class of all parts of the spec."""

    # "ignore": an older operator must keep working when a newer CRD has fields that it doesn't know.
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


def _digits(value: object) -> object:
    return str(value) if type(value) is int else value


_QuantityText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=24,
        pattern=r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?$",
    ),
]
Quantity = Annotated[_QuantityText, BeforeValidator(_digits, json_schema_input_type=_QuantityText)]
"""A Kubernetes quantity, e.g. `500m` or `512Mi`; plain YAML integers are accepted, too."""

_CountOrPercent = Annotated[
    str, Field(min_length=1, max_length=4, pattern=r"^([0-9]{1,3}|[0-9]{1,2}%|100%)$")
]
CountOrPercent = Annotated[_CountOrPercent, BeforeValidator(_digits, json_schema_input_type=_CountOrPercent)]
"""A number of pods, absolute or as a percentage."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
NamespaceName = DnsLabel
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key in the data of a Secret or ConfigMap."""
LabelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    ),
]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Labels = Annotated[dict[str, LabelValue], Field(max_length=16)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=16)]
PlainAnnotations = Annotated[
    dict[str, Annotated[str, Field(max_length=1024, pattern=r"^[\t\n\r -~]*$")]], Field(max_length=16)
]
"""Annotations with values in ASCII."""
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$")]
# No user name, password or query: credentials belong in Secrets.
_HOST_AND_PATH = r"[-A-Za-z0-9._:\[\]]+(/[-A-Za-z0-9._~:@!$&'()*+,;=%/]*)?"
HttpUrl = Annotated[str, Field(min_length=8, max_length=1024, pattern=rf"^https?://{_HOST_AND_PATH}$")]
HttpsUrl = Annotated[str, Field(min_length=9, max_length=1024, pattern=rf"^https://{_HOST_AND_PATH}$")]
_SITE = r"[-A-Za-z0-9._~:@!$&'()*+,;=%/]*"
SiteUrl = Annotated[
    str,
    Field(
        min_length=9,
        max_length=256,
        pattern=rf"^https://[-A-Za-z0-9._:\[\]]+(/{_SITE}(\{{path\}}{_SITE})?)?$",
    ),
]
HostName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
WildcardHostName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
Origin = Annotated[
    str,
    Field(
        min_length=8,
        max_length=270,
        pattern=r"^https?://[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[0-9]{1,5})?$",
    ),
]
"""The origin of web pages, as browsers send it."""
RelativePath = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^/\x00-\x1f][^\x00-\x1f]*$")]
Schedule = Annotated[
    str,
    Field(
        min_length=6,
        max_length=128,
        pattern=r"^(@(hourly|daily|weekly|monthly|yearly)|([-0-9A-Za-z*/,?]+ ){4}[-0-9A-Za-z*/,?]+)$",
    ),
]
TimeZone = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][-+_/A-Za-z0-9]*$")]
Dimensions = Annotated[int, Field(ge=1, le=8192)]
BatchSize = Annotated[int, Field(ge=1, le=2048)]
EncodingFormat = Literal["Float", "Base64"]
Switch = Literal["Enabled", "Disabled"]


class NameRef(Spec):
    """The name of an object in the same namespace."""

    name: ObjectName


class KeyRef(Spec):
    """A key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName
    key: DataKey


class ResourceList(Spec):
    """Amounts of CPU, memory and ephemeral storage."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = Field(default=None, alias="ephemeral-storage")


class Resources(Spec):
    """A container's requests and limits; amounts that are left out get the operator's defaults."""

    requests: ResourceList = ResourceList()
    limits: ResourceList = ResourceList()


REQUIRED_MEMBERS = {"AzureOpenAI": "azure_openai", "OpenAI": "openai", "External": "external", "OIDC": "oidc"}
"""The `type`s of unions that are useless without their member, and the attribute that holds the member."""


class Union(Spec):
    """A value whose `type` names the member that holds its settings."""

    @model_validator(mode="after")
    def _has_its_member(self) -> Self:
        kind = self.__dict__["type"]
        member = REQUIRED_MEMBERS.get(kind)
        if member is not None and self.__dict__[member] is None:
            raise ValueError(f"type {kind} needs the field {type(self).model_fields[member].alias or member}")
        return self
