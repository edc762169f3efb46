"""What conditions may say: docs/conditions.md tells what each reason means."""

from enum import StrEnum
from typing import Literal, NamedTuple

ConditionStatus = Literal["True", "False", "Unknown"]


class Reason(StrEnum):
    """Every reason that a condition may give; docs/conditions.md tells what each means."""

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
    NAME_TAKEN = "NameTaken"
    REFERENCE_MISSING = "ReferenceMissing"
    FEATURE_DISABLED = "FeatureDisabled"
    INVALID_SPEC = "InvalidSpec"
    APPLY_REFUSED = "ApplyRefused"


# With these the children aren't what the spec says, however well the pods of an earlier spec may run.
NOT_APPLIED = {Reason.NAME_TAKEN, Reason.INVALID_SPEC, Reason.APPLY_REFUSED}

# These explain why there are no pods.
NO_PODS = {Reason.REFERENCE_MISSING, Reason.PODS_REJECTED, Reason.PROGRESS_DEADLINE_EXCEEDED}
# These explain why pods have nothing to serve.
NO_INDEX = {Reason.INGESTING, Reason.INGESTION_FAILED, Reason.INDEX_HELD_BACK}
REASONS = {str(reason) for reason in Reason}


class Condition(NamedTuple):
    """One condition's content."""

    status: ConditionStatus
    reason: Reason
    message: str
