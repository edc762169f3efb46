"""The harness's one kind of error: something a person can act on."""


class HarnessError(Exception):
    """What went wrong and what to do about it, in words; shown without a traceback."""
