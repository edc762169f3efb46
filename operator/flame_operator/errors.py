"""Defines the errors that the operator tells apart.

Any other exception is a bug, which is logged with a traceback and retried.
"""


class UserError(Exception):
    """A user's input or setup doesn't work; the message says what to change, and a retry alone won't help."""


class InvalidSpec(UserError):  # noqa: N818 - named after the condition's reason that reports it
    """The resource's spec isn't valid for this operator."""


class Refused(UserError):  # noqa: N818 - the API server's word, not ours
    """The API server understood a request and refused it (400, 403, 404, 422)."""


class Forbidden(Refused):
    """The operator lacks permission for a request, or a policy of the cluster forbids it (403)."""


class NotFound(Refused):
    """The object, kind or namespace of a request doesn't exist (404)."""


class Invalid(Refused):
    """The object that a write would make violates the rules of its kind (422)."""


class Undeclared(Refused):
    """The CRD in the cluster is older than this operator, and lacks a field that it writes."""


class NamespaceTerminating(Refused):
    """The namespace is being deleted, so nothing can be created in it, and there is nothing left to do."""


class TooLarge(Refused):
    """The API server's answer has more bytes than this process reads."""


class Conflict(Exception):  # noqa: N818 - HTTP's name for it
    """The live object isn't the one that a request was made for (409): read it again, then decide again."""


class Unavailable(Exception):  # noqa: N818 - HTTP's name for it
    """The API server gave no usable answer: retry later, after at least `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LostLease(Exception):  # noqa: N818 - what has happened, not what is wrong
    """Another process may lead from now on, so this process may no longer write, and ends."""


class Blind(Exception):  # noqa: N818 - named after what the watch is
    """The watch has stopped delivering, so this process would miss all further changes, and ends."""
