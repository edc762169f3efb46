"""Lists the reasons that conditions may give; docs/conditions.md explains each."""

from enum import StrEnum
from typing import Literal, NamedTuple

ConditionStatus = Literal["True", "False", "Unknown"]


class Reason(StrEnum):
    """Every reason that a condition may give; docs/conditions.md explains each."""

    ANSWERING = "Answering"
    ANSWERING_AUTH_REQUIRED = "AnsweringAuthRequired"
    NOT_ANSWERING = "NotAnswering"
    TOO_FEW_RESULTS = "TooFewResults"
    NOT_VERIFIED = "NotVerified"
    AVAILABLE = "Available"
    INDEX_LOADED = "IndexLoaded"
    INGESTING = "Ingesting"
    INGESTION_FAILED = "IngestionFailed"
    INDEX_HELD_BACK = "IndexHeldBack"
    INDEX_STALE = "IndexStale"
    DEPLOYING = "Deploying"
    PODS_NOT_READY = "PodsNotReady"
    SCALED_TO_ZERO = "ScaledToZero"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    WAITING_FOR_TURN = "WaitingForTurn"
    UP_TO_DATE = "UpToDate"
    SUSPENDED = "Suspended"
    PODS_REJECTED = "PodsRejected"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    OPERATOR_CONFLICT = "OperatorConflict"
    NAME_TAKEN = "NameTaken"
    REFERENCE_MISSING = "ReferenceMissing"
    TOKEN_GONE = "TokenGone"  # noqa: S105 - a word
    FEATURE_DISABLED = "FeatureDisabled"
    INVALID_SPEC = "InvalidSpec"
    APPLY_REFUSED = "ApplyRefused"
    INTERNAL_ERROR = "InternalError"


# With these reasons the children don't match the spec, however well the pods of an earlier spec may run.
NOT_APPLIED = {Reason.NAME_TAKEN, Reason.INVALID_SPEC, Reason.APPLY_REFUSED, Reason.TOKEN_GONE}

# These reasons explain why there are no pods.
NO_PODS = {Reason.REFERENCE_MISSING, Reason.PODS_REJECTED, Reason.PROGRESS_DEADLINE_EXCEEDED}
# With these reasons Stalled tells what pods, or those who should make them, have told.
OF_PODS = {Reason.PODS_REJECTED, Reason.PODS_NOT_READY, Reason.PROGRESS_DEADLINE_EXCEEDED}
# These reasons explain why pods have nothing to serve.
NO_INDEX = {Reason.INGESTING, Reason.INGESTION_FAILED, Reason.INDEX_HELD_BACK}
REASONS = {str(reason) for reason in Reason}


class Condition(NamedTuple):
    """The status, reason and message of one condition."""

    status: ConditionStatus
    reason: Reason
    message: str
