"""Which of several operators works: the one that holds a Lease (coordination.k8s.io/v1).

Its holder renews it all the time. The others take it over once it has stayed the same for `LEASE_SECONDS` by
their own clock, so wall clocks, which differ between machines, decide nothing. The holder may write for
`RENEW_SECONDS` after the start of its last successful renewal and not a moment longer: it has stopped before
anybody else begins.

The client library's `aio.leaderelection` compares wall clocks, never gives the lease back, and can't say for
how long its holder may still write; hence this one.
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
"""A hand-over after a crash takes this, two retries at most, and filling the cache: less than 15 s."""
RENEW_SECONDS = 5.0
"""3 s less than the lease: for clocks that run at different speeds, and for requests on their way."""
RETRY_SECONDS = 1.0
"""Several renewals may fail before the lease is lost, and one write a second is nothing to the API server."""


class LeaseApi(Protocol):
    """The one Lease, as `kube.Leases` reads and writes it."""

    async def read(self) -> Manifest | None:
        """The Lease, or None when there is none."""

    async def write(self, spec: Manifest, known: Manifest | None) -> Manifest:
        """Give the known version another spec, or create one; `Conflict` when that isn't what is there."""


class Election(Protocol):
    """What the rest of the operator sees of leadership."""

    in_contact: bool
    """Whether the API server has answered at least once."""

    def valid_for(self) -> float:
        """For how many seconds from now this process may write; 0 or less: not at all."""

    async def acquire(self) -> None:
        """Return once this process leads."""

    async def hold(self) -> None:
        """Stay the leader; never returns.

        Raises:
            LostLease: That is over.
        """

    async def release(self) -> None:
        """Let another one lead at once. Only when nothing is being written any more."""


class Alone:
    """Leads without asking anybody: for development, where nothing else runs."""

    in_contact = True

    def valid_for(self) -> float:
        """See `Election`."""
        return math.inf

    async def acquire(self) -> None:
        """See `Election`."""

    async def hold(self) -> None:
        """See `Election`."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """See `Election`."""


def utc_now() -> str:
    """Now, as a Lease writes it. It is for people: nothing compares it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_free(spec: Manifest | None, identity: str, unchanged_seconds: float) -> bool:
    """Whether a Lease may be taken.

    Args:
        spec: The Lease's, or None when there is no Lease.
        identity: Who asks. What it held before, a process that is gone held under its name.
        unchanged_seconds: For how long it has been like this, as far as the one who asks has seen.
    """
    if spec is None:
        # Somebody has deleted it, perhaps, and its holder, which puts it back, still writes.
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
    """The Lease's spec after its holder has given it back."""
    return {**(spec or {}), "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now}


class Leader:
    """Takes, keeps and gives back one Lease."""

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
        self._trouble = ""

    def valid_for(self) -> float:
        """See `Election`."""
        return self._valid_until - self._clock()

    async def acquire(self) -> None:
        """See `Election`.

        Raises:
            UserError: The API server doesn't let this process have a Lease.
        """
        while not await self._try():
            await self._sleep(RETRY_SECONDS)
        log.info("lease acquired", identity=self._identity)

    async def hold(self) -> None:
        """See `Election`."""
        while True:
            await self._sleep(RETRY_SECONDS)
            if self.valid_for() <= 0:
                # Even if nobody has taken it: how long this process stood still, others may know better.
                raise LostLease(f"the lease could not be renewed for {RENEW_SECONDS:.0f} s")
            try:
                begun = await self._change(lambda spec: claimed(spec, self._identity, self._now()))
            except (Refused, Conflict, Unavailable) as error:
                seconds = round(max(self.valid_for(), 0), 1)
                log.warning("the lease was not renewed", error=str(error), valid_seconds=seconds)
            else:
                self._valid_until = begun + RENEW_SECONDS

    async def release(self) -> None:
        """See `Election`."""
        if self.valid_for() <= 0:
            return
        self._valid_until = -math.inf
        try:
            await self._change(lambda spec: released(spec, self._now()))
        except (LostLease, Refused, Conflict, Unavailable) as error:
            log.warning("the lease was not given back, it runs out by itself", error=str(error))
        else:
            log.info("lease released", identity=self._identity)

    async def _try(self) -> bool:
        """Take the Lease if it is free."""
        try:
            self._observe(await self._leases.read())
            if not is_free(_spec(self._known), self._identity, self._clock() - self._changed_at):
                return False
            begun = await self._write(claimed(_spec(self._known), self._identity, self._now()))
        except Conflict:
            return False  # another one was quicker
        except Unavailable as error:
            if str(error) != self._trouble:
                log.warning("waiting for the API server", error=str(error))
            self._trouble = str(error)
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
        # What isn't there at first sight was never held, as far as anybody can tell.
        if lease is not None if first else _version(lease) != _version(self._known):
            self._changed_at = self._clock()
        if _holder(lease) not in ("", self._identity, _holder(self._known)):
            log.info("standing by", leader=_holder(lease))
        self._known = lease

    async def _change(self, change: Callable[[Manifest | None], Manifest]) -> float:
        """Change the Lease that this process holds; returns when the request began.

        Raises:
            LostLease: Another one holds it.
        """
        try:
            return await self._write(change(_spec(self._known)))
        except (Conflict, NotFound):
            # Deleted, or somebody has edited it, or the answer to our own last write got lost.
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
