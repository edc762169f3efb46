"""The exceptions that tell a user what to do: a plain line and exit code 1, or a tool's error."""


class FlameMcpError(Exception):
    """A failure that the user can act on; its text says what to do."""


class UnavailableError(FlameMcpError):
    """Something that the server needs is away for now; it recovers alone."""
