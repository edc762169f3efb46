"""Elects a leader among several operator processes: the one that holds a Lease (coordination.k8s.io/v1).

The holder renews the Lease all the time. The others may take it once it hasn't changed for `LEASE_SECONDS` by
their own clock, so wall clocks, which differ between machines, decide nothing. The holder may write for
`RENEW_SECONDS` after the start of its last successful renewal and not a moment longer, so it has stopped
before any other process begins.

The client library's `aio.leaderelection` isn't used: it compares wall clocks, never releases the Lease, and
can't tell for how long its holder may still write.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog

from flame_operator.errors import Conflict, LostLease, NotFound, Refused, Unavailable, UserError
from flame_operator.resource.kinds import Manifest

log = structlog.get_logger(__name__)

LEASE_SECONDS = 8
"""How long a Lease is valid, in seconds.

A handover after a crash takes this long, plus two retries at most and filling the cache: less than 15 s.
"""
RENEW_SECONDS = 5.0
"""How long the holder may write after a renewal, in seconds.

It is 3 s less than the Lease is valid, for clocks that run at different speeds and for requests in flight.
"""
RETRY_SECONDS = 1.0
"""How often to renew the Lease, or to try to take it, in seconds.

Several renewals may fail before the Lease is lost, and one write a second is nothing to the API server.
"""


class LeaseApi(Protocol):
    """The requests for the Lease, as `Leases` in `api.kube` implements them."""

    async def read(self) -> Manifest | None:
        """The Lease, or None when there is none."""

    async def write(self, spec: Manifest, known: Manifest | None) -> Manifest:
        """Write a new spec to the known version of the Lease, or create it; `Conflict` if it has changed."""


class Election(Protocol):
    """Decides whether this process leads, and for how long it may write."""

    in_contact: bool
    """Whether the API server has answered at least once."""

    def valid_for(self) -> float:
        """For how many seconds from now this process may write; with 0 or less, it may not write at all."""

    async def acquire(self) -> None:
        """Return once this process leads."""

    async def hold(self) -> None:
        """Stay the leader; never returns.

        Raises:
            LostLease: This process no longer leads.
        """

    async def release(self) -> None:
        """Let another process lead at once; call it only when nothing is being written any more."""


class Alone:
    """An election with a single candidate, which always leads: for development, where nothing else runs."""

    in_contact = True

    def valid_for(self) -> float:
        """Return infinity: this process may always write."""
        return math.inf

    async def acquire(self) -> None:
        """Return at once: this process always leads."""

    async def hold(self) -> None:
        """Wait forever: leadership is never lost."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Do nothing: there is no Lease."""


def utc_now() -> str:
    """The current time in the format of Leases. It is only for people: nothing compares it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_free(spec: Manifest | None, identity: str, unchanged_seconds: float) -> bool:
    """Whether a process may take the Lease.

    Args:
        spec: The Lease's spec, or None when there is no Lease.
        identity: The process that asks. If the Lease names it, an earlier process of that name held it, and
            that process is gone.
        unchanged_seconds: For how long the asking process has seen the Lease unchanged.
    """
    if spec is None:
        # Somebody may have deleted the Lease while its holder, which will create it again, still writes.
        return unchanged_seconds >= LEASE_SECONDS
    holder = spec.get("holderIdentity")
    return (
        not holder
        or holder == identity
        or unchanged_seconds >= max(LEASE_SECONDS, spec.get("leaseDurationSeconds") or 0)
    )


def claimed(spec: Manifest | None, identity: str, now: str) -> Manifest:
    """The Lease's spec after `identity` has taken or renewed it."""
    before = spec or {}
    renewed = {
        **before,
        "holderIdentity": identity,
        "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": now,
    }
    if before.get("holderIdentity") == identity:
        return renewed
    return {**renewed, "acquireTime": now, "leaseTransitions": before.get("leaseTransitions", -1) + 1}


def released(spec: Manifest | None, now: str) -> Manifest:
    """The Lease's spec after its holder has released it."""
    return {**(spec or {}), "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now}


class Leader:
    """Takes, renews and releases one Lease; the `Election` for several processes.

    Args:
        leases: Reads and writes the Lease.
        identity: The name of this process, which must be unique among those that run at the same time.
        clock: A monotonic clock, in seconds.
        sleep: Waits for a number of seconds.
        now: Returns the time in the format of Leases.
    """

    def __init__(
        self,
        leases: LeaseApi,
        identity: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self.in_contact = False
        self._leases = leases
        self._identity = identity
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self._known: Manifest | None = None
        self._changed_at = -math.inf
        self._valid_until = -math.inf
        self._last_error = ""

    def valid_for(self) -> float:
        """For how many seconds from now this process may write; with 0 or less, it may not write at all."""
        return self._valid_until - self._clock()

    async def acquire(self) -> None:
        """Take the Lease as soon as it is free.

        Raises:
            UserError: The API server refuses the operator access to its Lease.
        """
        while not await self._try_to_take():
            await self._sleep(RETRY_SECONDS)
        log.info("lease acquired", identity=self._identity)

    async def hold(self) -> None:
        """Renew the Lease forever.

        Raises:
            LostLease: The Lease couldn't be renewed in time, or another process holds it.
        """
        while True:
            await self._sleep(RETRY_SECONDS)
            if self.valid_for() <= 0:
                # Even if no other process has taken it: this one may have been suspended for longer than its
                # own clock shows.
                raise LostLease(f"the lease could not be renewed for {RENEW_SECONDS:.0f} s")
            try:
                begun = await self._change(lambda spec: claimed(spec, self._identity, self._now()))
            except (Refused, Conflict, Unavailable) as error:
                seconds = round(max(self.valid_for(), 0), 1)
                log.warning("the lease was not renewed", error=str(error), valid_seconds=seconds)
            else:
                self._valid_until = begun + RENEW_SECONDS

    async def release(self) -> None:
        """Release the Lease, if this process holds it; a failure is only logged."""
        if self.valid_for() <= 0:
            return
        self._valid_until = -math.inf
        try:
            await self._change(lambda spec: released(spec, self._now()))
        except (LostLease, Refused, Conflict, Unavailable) as error:
            log.warning("the lease was not released; it expires by itself", error=str(error))
        else:
            log.info("lease released", identity=self._identity)

    async def _try_to_take(self) -> bool:
        """Take the Lease if it is free; returns whether this process holds it."""
        try:
            self._observe(await self._leases.read())
            if not is_free(_spec(self._known), self._identity, self._clock() - self._changed_at):
                return False
            begun = await self._write(claimed(_spec(self._known), self._identity, self._now()))
        except Conflict:
            return False  # another process was faster
        except Unavailable as error:
            if str(error) != self._last_error:
                log.warning("waiting for the API server", error=str(error))
            self._last_error = str(error)
            return False
        except Refused as error:
            raise UserError(
                f"the operator can't use its Lease: {error}. Install its RBAC rules for leases in its own "
                "namespace, which FLAME_OPERATOR_NAMESPACE names, and start it again"
            ) from error
        self._valid_until = begun + RENEW_SECONDS
        return True

    def _observe(self, lease: Manifest | None) -> None:
        first, self.in_contact = not self.in_contact, True
        # A Lease that doesn't exist at the first look was never held, as far as this process can tell.
        if lease is not None if first else _version(lease) != _version(self._known):
            self._changed_at = self._clock()
        if _holder(lease) not in ("", self._identity, _holder(self._known)):
            log.info("standing by", leader=_holder(lease))
        self._known = lease

    async def _change(self, change: Callable[[Manifest | None], Manifest]) -> float:
        """Change the Lease that this process holds; returns when the request began.

        Raises:
            LostLease: Another process holds it.
        """
        try:
            return await self._write(change(_spec(self._known)))
        except (Conflict, NotFound):
            # The Lease was deleted or edited, or the answer to this process's last write got lost.
            self._known = await self._leases.read()
            if self._known is not None and _holder(self._known) != self._identity:
                self._valid_until = -math.inf
                raise LostLease(f"the lease is held by {_holder(self._known) or 'nobody'}") from None
            return await self._write(change(_spec(self._known)))

    async def _write(self, spec: Manifest) -> float:
        begun = self._clock()
        self._known = await self._leases.write(spec, self._known)
        return begun


def _spec(lease: Manifest | None) -> Manifest | None:
    return None if lease is None else lease.get("spec") or {}


def _version(lease: Manifest | None) -> str | None:
    return None if lease is None else lease["metadata"]["resourceVersion"]


def _holder(lease: Manifest | None) -> str:
    return (_spec(lease) or {}).get("holderIdentity") or ""
