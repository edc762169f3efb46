"""The kinds of error the operator tells apart; anything else is a bug: logged with traceback and retried."""


class UserError(Exception):
    """What somebody wrote can't be done; the message says what to change. Retrying alone won't help."""


class InvalidSpec(UserError):  # noqa: N818 - named after the condition's reason that reports it
    """The resource's spec doesn't have the shape this operator knows."""


class Refused(UserError):  # noqa: N818 - the API server's word, not ours
    """The API server understood a request and said no (400, 403, 404, 422)."""


class Forbidden(Refused):
    """The operator has no right to do this, or a policy of the cluster is against it (403)."""


class NotFound(Refused):
    """There is no such object, kind or namespace."""


class Invalid(Refused):
    """The object that a write would make is against the kind's own rules (422)."""


class NamespaceTerminating(Refused):
    """The namespace is being deleted, so nothing can be created in it: there is nothing left to do."""


class Conflict(Exception):  # noqa: N818 - HTTP's name for it
    """The object isn't the one the request was made for (409): look again, then decide again."""


class Unavailable(Exception):  # noqa: N818 - HTTP's name for it
    """The API server gave no usable answer: try again later, `retry_after` seconds at the earliest."""

    def __init__(self, message: str, *, retry_after: float = 0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LostLease(Exception):  # noqa: N818 - what has happened, not what is wrong
    """Another process may lead from now on: this one may not write any more, and ends."""


class Blind(Exception):  # noqa: N818 - named after what the watch is
    """The watch has stopped delivering: this process would never hear of a change again, and ends."""
